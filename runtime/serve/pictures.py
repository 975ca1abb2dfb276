"""Pictures for all viewers alike: each is drawn once, only when somebody waits for it, and at a bounded rate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from .feed import Feed, Shot

PICTURES_PER_S = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A shot that was drawn."""

    shot: Shot
    jpeg: bytes


class Pictures:
    """Draw the newest frame of a feed for whoever asks. Used inside one event loop.

    Args:
        paint: draws and encodes, in a thread of its own.
    """

    def __init__(self, feed: Feed, paint: Callable[[Shot], bytes]) -> None:
        self.drawn = 0
        self._feed, self._paint = feed, paint
        self._last: Picture | None = None
        self._next_s = 0.0
        self._wanted, self._ready = asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "segrt-serve-draw")
        self._task = asyncio.create_task(self._work())

    async def newer(self, than: int) -> Picture:
        """A picture of a frame after number `than`: the newest, or drawn so lately that no newer one is due."""
        while True:
            if (last := self._last) is not None and last.shot.number > than and self._is_fresh(last):
                return last
            ready = self._ready
            self._wanted.set()
            await ready.wait()

    async def close(self) -> None:
        """Draw no more."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._thread.shutdown()

    def _is_fresh(self, picture: Picture) -> bool:
        newest = self._feed.newest
        now_s = asyncio.get_running_loop().time()
        return newest is None or picture.shot.number == newest.number or now_s < self._next_s

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            await self._frame_after(self._last.shot.number if self._last else 0)
            await asyncio.sleep(self._next_s - loop.time())
            self._next_s = loop.time() + 1 / PICTURES_PER_S
            shot = self._feed.newest
            assert shot is not None
            try:
                self._last = Picture(shot, await loop.run_in_executor(self._thread, self._paint, shot))
            except Exception:  # viewers are told that their picture is late
                logging.getLogger("segrt").exception("segrt: frame %d could not be drawn", shot.frame.index)
                continue
            self.drawn += 1
            self._wanted.clear()
            ready, self._ready = self._ready, asyncio.Event()
            ready.set()

    async def _frame_after(self, number: int) -> None:
        loop, there = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(there.set)

        self._feed.wake_after(number, wake)
        await there.wait()
