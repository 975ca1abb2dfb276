"""A real browser without a screen, driven over its debugging protocol: look at a page, ask its DOM, take pictures."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import aiohttp

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)
_PATIENCE_S = 30.0


def executable() -> str | None:
    """Chromium's path, where it is installed."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


class Tab:
    """One tab. `errors` are what the page's console complained of, exceptions included."""

    def __init__(self, loop: asyncio.AbstractEventLoop, session: Any, socket: Any) -> None:
        self.errors: list[str] = []
        self._loop, self._session, self._socket = loop, session, socket
        self._number = 0

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        return self._loop.run_until_complete(asyncio.wait_for(self._command(method, parameters), _PATIENCE_S))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = _PATIENCE_S) -> Any:
        """Wait until an expression is true; returns its value."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"{expression} did not come true; the page: {self.text()}"
            time.sleep(0.05)
        return value

    def text(self) -> str:
        """What a person could read."""
        return str(self.evaluate("document.body.innerText"))

    def resize(self, width: int, height: int, *, phone: bool = False, dark: bool = False, scale: float = 1) -> None:
        """Make the window so large, in the light or dark scheme."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> Path:
        """What the window shows, as a PNG."""
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))
        return path

    async def _command(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(message["params"]))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])


@contextmanager
def browser(folder: Path, url: str) -> Iterator[Tab]:
    """A browser with an empty profile in `folder`, one tab of which shows `url`."""
    path = executable()
    assert path is not None
    command = [path, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    loop = asyncio.new_event_loop()
    try:
        port = _port(folder / "DevToolsActivePort")
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            where = next(target for target in json.load(answer) if target["type"] == "page")["webSocketDebuggerUrl"]
        tab = loop.run_until_complete(_open(loop, where))
        for domain in ("Page", "Runtime", "Log"):
            tab.command(f"{domain}.enable")
        tab.command("Page.navigate", url=url)
        tab.until("location.protocol === 'http:' && document.readyState === 'complete'")
        try:
            yield tab
        finally:
            loop.run_until_complete(tab._session.close())
    finally:
        loop.close()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def _open(loop: asyncio.AbstractEventLoop, where: str) -> Tab:
    session = aiohttp.ClientSession()
    return Tab(loop, session, await session.ws_connect(where, max_msg_size=0))


def _port(file: Path) -> int:
    end = time.monotonic() + _PATIENCE_S
    while not (file.exists() and len(lines := file.read_text().splitlines()) >= 2):
        assert time.monotonic() < end, "chromium did not start"
        time.sleep(0.05)
    return int(lines[0])
