"""The server: a thread with an event loop, from `start` to `stop`."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from threading import Event, Thread
from typing import Any
from weakref import WeakSet

from aiohttp import web

from ..overlay import Overlay
from . import complaints
from .feed import Feed
from .metrics import Metrics
from .pages import Pages
from .picture import Painter
from .pictures import Pictures

MOST_CONNECTIONS = 64
"""Beyond, connections are closed at once: the files that a process may have open are the run's too."""

_SHUTDOWN_S = 0.5
_STOP_S = 10.0


class Server:
    """Show a feed to whoever may look.

    Args:
        listening: closed here.
        hello: what the page is told once.
    """

    def __init__(
        self,
        listening: socket.socket,
        token: str | None,
        feed: Feed,
        overlay: Overlay,
        class_names: tuple[str, ...],
        hello: Mapping[str, Any],
        facts: Mapping[str, str],
    ) -> None:
        self._listening, self._token, self._feed = listening, token, feed
        self._overlay, self._hello = overlay, hello
        self._transports: WeakSet[asyncio.Transport] = WeakSet()  # of those that asked for something
        self._pages: Pages | None = None
        self._pictures: Pictures | None = None
        self.metrics = Metrics(feed, class_names, facts, self._viewers, self._drawn)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(complaints.of_the_loop)
        self._stop = asyncio.Event()
        self._up = Event()
        self._why = ""
        self._thread = Thread(target=self._run, name="segrt-serve", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        self._up.wait()

    def stop(self, why: str) -> None:
        """Tell viewers why, close every connection and end the thread; viewers that hang are not waited for."""
        self._why = why
        with suppress(RuntimeError):  # it has stopped already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=_STOP_S)

    def _viewers(self) -> int:
        return len(self._pages.viewers) if self._pages is not None else 0

    def _drawn(self) -> int:
        return self._pictures.drawn if self._pictures is not None else 0

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            logging.getLogger("segrt").exception("segrt: the live view has failed; the run goes on without it")
        finally:
            self._listening.close()
            self._loop.close()
            self._up.set()

    async def _serve(self) -> None:
        self._pictures = Pictures(self._feed, Painter(self._overlay))
        self._pages = Pages(self._feed, self._pictures, self.metrics, self._hello)
        application = self._pages.application(self._token)
        application.on_response_prepare.append(self._remember)
        runner = web.AppRunner(
            application,
            handle_signals=False,
            access_log=None,
            logger=complaints.LOG,
            keepalive_timeout=15,
            shutdown_timeout=_SHUTDOWN_S,
        )
        await runner.setup()
        assert runner.server is not None
        listener = await self._loop.create_server(lambda: _protocol(runner.server), sock=self._listening)
        self._up.set()
        await self._stop.wait()
        listener.close()
        await self._pages.close(self._why)
        for transport in list(self._transports):
            transport.abort()  # what a viewer has not read is not waited for
        await self._pictures.close()
        await runner.cleanup()

    async def _remember(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.transport is not None:
            self._transports.add(request.transport)


def _protocol(server: web.Server | None) -> asyncio.Protocol:
    assert server is not None
    return server() if len(server.connections) < MOST_CONNECTIONS else _Full()


class _Full(asyncio.Protocol):
    """Closes a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
