"""What is said on stderr of requests: nothing of those that are no HTTP, one line of a failure of our own."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any

from aiohttp.http import HttpProcessingError
from aiohttp.web import RequestPayloadError

_NO_HTTP = (HttpProcessingError, RequestPayloadError)  # answered with 400; whoever sends it could fill the log

LOG = logging.getLogger("segrt.serve")


def of_the_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What an event loop calls with a failure that nobody awaits."""
    error = context.get("exception")
    LOG.error("segrt: the live view failed: %s", context["message"] if error is None else _line(error))


def _shorten(record: logging.LogRecord) -> bool:
    """Whether a record of aiohttp's is worth to be seen; then as one line."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, _NO_HTTP):
        return False
    if error is not None:
        record.msg, record.args, record.exc_info = "segrt: the live view could not answer: %s", (_line(error),), None
    return True


def _line(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" ({frame.filename.rpartition('/')[2]}:{frame.lineno})" for frame in where)
    return " ".join(f"{type(error).__name__}: {error}".split()) + place


LOG.addFilter(_shorten)
