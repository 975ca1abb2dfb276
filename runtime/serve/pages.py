"""What each path answers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from aiohttp import WSMsgType, web

from ..types import Status
from .access import middleware
from .feed import Feed
from .metrics import Metrics
from .pictures import Picture, Pictures

TICK_S = 0.5
"""A viewer hears something so often at least, frames or none; the page takes thrice as long a silence for a loss."""

MOST_VIEWERS = 32
_HEARTBEAT_S = 10.0
_LONGEST_REQUEST = 1024  # bytes; viewers have little to say
_SNAPSHOT_S = 5.0  # waited for the first frame
_PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


class Pages:
    """The paths over one feed.

    Args:
        hello: what the page is told once: the model, the classes and their colours.
    """

    def __init__(self, feed: Feed, pictures: Pictures, metrics: Metrics, hello: Mapping[str, Any]) -> None:
        self.viewers: set[web.WebSocketResponse] = set()
        self._feed, self._pictures, self._metrics, self._hello = feed, pictures, metrics, hello

    def application(self, token: str | None) -> web.Application:
        """The whole of it, behind the door."""
        application = web.Application(middlewares=[middleware(token)], client_max_size=_LONGEST_REQUEST)
        application.add_routes(
            [
                web.get("/", self.page),
                web.get("/events", self.events, allow_head=False),
                web.get("/snapshot.jpg", self.snapshot, allow_head=False),
                web.get("/metrics", self.metrics),
                web.get("/healthz", self.healthz),
            ]
        )
        application.on_response_prepare.append(_protect)
        return application

    async def page(self, request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    async def metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.page(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(self, request: web.Request) -> web.Response:
        health, counts = self._feed.health(), self._feed.counts()
        known = {
            "ok": health.problem is None,
            "problem": health.problem,
            "age_s": round(self._feed.age_s(), 3) if self._feed.newest is not None else None,
            "frames": counts.by_status,
            "dropped": counts.dropped,
        }
        return web.json_response(known, status=200 if health.problem is None else 503)

    async def snapshot(self, request: web.Request) -> web.Response:
        newest = self._feed.newest
        try:
            picture = await asyncio.wait_for(self._pictures.newer(newest.number - 1 if newest else 0), _SNAPSHOT_S)
        except asyncio.TimeoutError:
            raise web.HTTPServiceUnavailable(text="no frame has come yet\n") from None
        name = {"X-Segrt-Frame": str(picture.shot.frame.index), "X-Segrt-Status": picture.shot.status.value}
        return web.Response(body=picture.jpeg, content_type="image/jpeg", headers=name)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket: the viewer asks and is answered, so that there is never more than one picture on its way.

        "picture" is answered by numbers in JSON and a JPEG, as soon as there is a newer one; "numbers", and where no
        frame comes, by the numbers alone. So a slow line or a busy browser sees fewer pictures, never old ones.
        """
        if len(self.viewers) >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_VIEWERS} viewers look already\n")
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=_LONGEST_REQUEST, compress=False)
        try:
            await socket.prepare(request)
        except ValueError:  # a key or a header of other bytes than text
            raise web.HTTPBadRequest(text="expected a WebSocket's handshake\n") from None
        self.viewers.add(socket)
        try:
            with suppress(ConnectionError):
                await self._answer(socket)
        finally:
            self.viewers.discard(socket)
        return socket

    async def close(self, why: str) -> None:
        """Tell all viewers that the run is over; those that do not listen are not waited for."""
        ends = [self._end(viewer, why) for viewer in list(self.viewers)]
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*ends, return_exceptions=True), TICK_S)

    async def _answer(self, viewer: web.WebSocketResponse) -> None:
        await viewer.send_json({"hello": self._hello})
        seen = last_bin = -1
        async for message in viewer:
            if message.type is not WSMsgType.TEXT:
                break
            picture = None
            if message.data == "picture":
                with suppress(asyncio.TimeoutError):
                    picture = await asyncio.wait_for(self._pictures.newer(max(seen, 0)), TICK_S)
            else:
                await asyncio.sleep(TICK_S)
            bins = self._feed.bins(last_bin)
            last_bin = bins[-1].number if bins else last_bin
            await viewer.send_json(self._numbers(picture) | {"bins": [bin_.as_json() for bin_ in bins]}, dumps=_dumps)
            if picture is not None:
                seen = picture.shot.number
                await viewer.send_bytes(picture.jpeg)

    def _numbers(self, picture: Picture | None) -> dict[str, Any]:
        feed, health, counts = self._feed, self._feed.health(), self._feed.counts()
        newest = feed.newest
        return {
            "now": feed.now_s(),
            "problem": health.problem,
            "silent_s": health.silent_s,
            "since_s": round(health.since_s, 2),
            "patience_s": round(health.patience_s, 2),
            "status": newest.status.value if newest is not None else None,
            "areas": [round(share, 4) for share in newest.areas] if newest is not None and newest.areas else None,
            "confidence": _rounded(newest.segmentation.confidence) if newest is not None else None,
            "counts": counts.by_status,
            "dropped": counts.dropped,
            "picture": None if picture is None else _caption(picture),
        }

    async def _end(self, viewer: web.WebSocketResponse, why: str) -> None:
        await viewer.send_json({"ended": why})
        await viewer.close()


def _caption(picture: Picture) -> dict[str, Any]:
    frame = picture.shot.frame
    return {
        "index": frame.index,
        "time_s": _rounded(frame.time_s),
        "name": frame.name,
        "ok": picture.shot.status is Status.OK,
        "age_s": round(perf_counter() - picture.shot.at_s, 3),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _hash(tag: str) -> str:
    """The page's one element of that kind, as a content security policy names it."""
    (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src {_hash('script')}; style-src {_hash('style')}; "
    "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


async def _protect(request: web.Request, response: web.StreamResponse) -> None:
    """These are patients' pictures: nothing is kept, framed, or taken for what it is not."""
    response.headers.update(_HEADERS)
    response.headers["Server"] = "segrt"
