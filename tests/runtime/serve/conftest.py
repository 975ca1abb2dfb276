"""Runs that are being served: a stream of stripes at a camera's pace, and a plain HTTP client."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from tests.tiny import colour_spec, stripes

from segrt import Frame, Segmenter, Status
from segrt.runtime.engines import FakeEngine
from segrt.runtime.engines.base import Layout
from segrt.runtime.pipeline import Pipeline, Report
from segrt.runtime.sources.base import Closing


class Stream(Closing):
    """A live source whose frames are stripes; `status` is what the next ones have, and `paused` holds them back."""

    live, name, size_hw, rate, frame_count = True, "stripes", (48, 64), None, None
    problem: str | None = None

    def __init__(self, period_s: float = 0.02) -> None:
        self.status = Status.OK
        self.paused = False
        self.image: np.ndarray | None = stripes(48, 64)
        self._period_s = period_s

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            sleep(self._period_s)
            if not self.paused:
                yield Frame(self.image, index, status=self.status)
                index += 1


class Served:
    """A run behind a ServeSink, in a thread of its own."""

    def __init__(self, sink: Any, source: Stream, segmenter: Segmenter) -> None:
        self.url, self.source, self.sink = sink.url, source, sink
        self.host = urlsplit(sink.url).netloc
        self._stop = Event()
        self._pipeline = Pipeline(source, segmenter, [sink], stop=self._stop, progress=sink.watch)
        self.report: Report | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.report = self._pipeline.run()

    def get(self, path: str, *, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        """Ask the server; `headers` with _ for -."""
        connection = HTTPConnection(self.host, timeout=10)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    def health(self) -> tuple[int, dict[str, Any]]:
        answer, body = self.get("/healthz")
        return answer.status, json.loads(body)

    def until(self, true: Callable[[], Any], seconds: float = 10.0) -> Any:
        """Wait for something; returns it."""
        end = monotonic() + seconds
        while not (value := true()):
            assert monotonic() < end, "it did not come true"
            sleep(0.01)
        return value

    def stop(self) -> Report:
        """End the run."""
        self._stop.set()
        self.source.paused, self.source.status = False, Status.OK
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()
        assert self.report is not None
        return self.report


def colours() -> Segmenter:
    """Tells stripes apart without a backend: the logits are the channels, averaged over 4x4 pixels."""

    def logits(batch: np.ndarray) -> np.ndarray:
        planes = batch[0].reshape(3, 8, 4, 8, 4).mean((2, 4))
        return np.concatenate([np.zeros((1, 8, 8), np.float32), planes])[None].astype(np.float32)

    return Segmenter(FakeEngine(logits, (32, 32), Layout.NCHW_F32), colour_spec())


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Begin a run that is served, on a port of its own; ended after the test."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("prometheus_client")
    from segrt.runtime.serve.address import Address
    from segrt.runtime.serve.sink import ServeSink

    runs: list[Served] = []

    def begin(*, host: str = "127.0.0.1", token: str | None = None, **stream: Any) -> Served:
        segmenter, source = colours(), Stream(**stream)
        runs.append(Served(ServeSink(Address(host, 0), token, segmenter, source.name), source, segmenter))
        return runs[-1]

    yield begin
    for run in runs:
        run.stop()


@contextmanager
def deaf(host: str, request: bytes) -> Iterator[socket.socket]:
    """A connection that asks and never reads."""
    name, port = host.split(":")
    with socket.create_connection((name, int(port))) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request)
        yield connection
