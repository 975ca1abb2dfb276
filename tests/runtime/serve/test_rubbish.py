"""What no browser sends: refused, and not a word of it on stderr, which any local program could fill else."""

import logging
import socket
from time import sleep

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("prometheus_client")

TOKEN = "0123456789abcdef"
HERE = b"Host: 127.0.0.1\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"


def answered(run, request: bytes) -> int:
    """The status that raw bytes are answered with."""
    host, port = run.host.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request)
        status = int(connection.recv(4096).split()[1])
    sleep(0.05)  # whatever is logged comes after the answer
    return status


def asks(path: bytes, *lines: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + b"".join(line.rstrip(b"\r\n") + b"\r\n" for line in lines) + b"\r\n"


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("host", [b"[", b"[::1", "℀.com".encode(), b"127.0.0.1:abc", b"127.0.0.1:99999", b"\xff"])
def test_a_host_that_is_none_is_refused_silently(serve, caplog, host, token):
    run = serve(token=token)
    assert answered(run, asks(b"/healthz", b"Host: " + host)) in ((403,) if token is None else (400, 401))
    assert caplog.records == []


@pytest.mark.parametrize("origin", [b"http://[", b"http://\xff", "http://℀.com".encode(), b"[", b""])
def test_an_origin_that_is_none_is_refused_silently(serve, caplog, origin):
    assert answered(serve(), asks(b"/events", HERE, b"Origin: " + origin)) == 403
    assert caplog.records == []


@pytest.mark.parametrize("line", [b"Authorization: Bearer \xff", b"Cookie: segrt-80=\xff"])
def test_a_token_of_other_bytes_than_text_is_a_wrong_one(serve, caplog, line):
    assert answered(serve(token=TOKEN), asks(b"/healthz", HERE, line)) == 401
    assert caplog.records == []


@pytest.mark.parametrize(
    "line", [b"Sec-WebSocket-Key: A\xff", b"Sec-WebSocket-Key: \xff\r\nUpgrade: \xff", b"Sec-WebSocket-Key: A"]
)
def test_a_handshake_that_is_none_is_refused_silently(serve, caplog, line):
    assert answered(serve(), asks(b"/events", HERE, UPGRADE, line)) == 400
    assert caplog.records == []


def test_a_scraper_that_asks_for_a_version_that_is_none_gets_text(serve, caplog):
    run = serve()
    answer, _ = run.get("/metrics", Accept="application/openmetrics-text; version=abc")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert caplog.records == []


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)), id="TLS"),
        pytest.param(asks(b"/", HERE, b"Transfer-Encoding: chunked") + b"ZZ\r\n", id="chunk size"),
        pytest.param(asks(b"/" + b"a" * 20_000, HERE), id="long line"),
        pytest.param(asks(b"/", HERE, b"A: " + b"a" * 20_000), id="long header"),
        pytest.param(asks(b"/", *[b"A: b"] * 1000), id="many headers"),
        pytest.param(asks(b"/", HERE, b"Content-Length: x"), id="length"),
        pytest.param(asks(b"/", HERE) + b"\x16\x03\x01rubbish\r\n\r\n", id="after a request"),
        pytest.param(b"CONNECT [ HTTP/1.1\r\n\r\n", id="CONNECT"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde", id="gzip"
        ),
    ],
)
def test_what_is_no_http_leaves_nothing_in_the_log(serve, caplog, rubbish):
    run = serve()
    assert answered(run, rubbish) in (200, 400, 405)
    assert caplog.records == []
    assert answered(run, asks(b"/", HERE)) == 200


def test_a_failure_of_our_own_stays_visible_in_one_line(serve, caplog, monkeypatch):
    from segrt.runtime.serve.feed import Feed

    run = serve()

    def health(feed):
        raise LookupError("no such\nclass")

    monkeypatch.setattr(Feed, "health", health)
    assert answered(run, asks(b"/healthz", HERE)) == 500
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    line = logging.Formatter().format(record)
    assert line == "segrt: the live view could not answer: LookupError: no such class (test_rubbish.py:" + (
        f"{health.__code__.co_firstlineno + 1})"
    )


def test_what_fails_outside_of_a_request_is_one_line_too(serve, caplog):
    run = serve()
    loop = run.sink._server._loop

    def fail():
        raise LookupError("no such class")

    loop.call_soon_threadsafe(fail)
    run.until(lambda: caplog.records)
    lines = [logging.Formatter().format(record) for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith("segrt: the live view failed: LookupError: no such class (test_rubbish.py:")
