"""Plans that were built before, each under everything that it depends on.

A plan whose key is not exactly the wanted one is never used. Where that means that a plan is built again - another
.onnx in the place of the old, another GPU, another TensorRT, a damaged file - it is said aloud, or refused if strict.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from ..cache import cache_path
from ..errors import EngineError, ModelError
from ..plan_file import SUFFIX, PlanKey, PlanRecord, read_plan, read_record, remove_plan, write_plan
from ..sinks.files import cannot_write

_LOG = logging.getLogger("segrt")  # shown on stderr unless the program that embeds segrt decides otherwise

Build = Callable[[], bytes]
RecordOf = Callable[[str], PlanRecord]
"""From a plan's hash to what shall be written beside it."""


class Found(NamedTuple):
    """What the cache holds for a key."""

    plan: bytes | None
    problem: str = ""  # why there is a plan that cannot be used, if there is one


class Plan(NamedTuple):
    """A plan that may be loaded."""

    data: bytes
    cached: bool  # it was there already
    note: str  # for people, in one line


class EngineCache:
    """A folder of plans.

    Args:
        folder: made where it does not exist; None: `segrt/tensorrt` in the user's cache directory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = cache_path("tensorrt") if folder is None else folder

    def path(self, name: str, key: PlanKey) -> Path:
        """Where the plan of a key lies; `name` is for people who look into the folder."""
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:40] or "model"
        return self.folder / f"{slug}-{key.digest()[:24]}{SUFFIX}"

    def timing_cache(self, key: PlanKey) -> Path:
        """The file of measured tactics for a GPU and a version of TensorRT; all models share it."""
        parts = (key.package, key.version, key.gpu, key.capability)
        return self.folder / ("-".join(re.sub(r"[^A-Za-z0-9.]+", "_", part) for part in parts) + ".timing")

    def look(self, name: str, key: PlanKey, source: str) -> Found:
        """Look for a plan without waiting for anyone.

        Args:
            source: the model file: a plan that was built from what lay there before is told as stale.
        """
        path = self.path(name, key)
        if not path.exists():
            return Found(None, self._relative(key, source))
        try:
            record = read_record(path)
            if record.key != key:
                return Found(None, f"{path} does not fit: {record.key.differences(key)}")
            return Found(read_plan(path, record))
        except ModelError as error:
            return Found(None, str(error))

    def get(
        self, name: str, key: PlanKey, source: str, build: Build, record_of: RecordOf, *, strict: bool = False
    ) -> Plan:
        """The plan of a key: from the cache, else built, once even if several processes want it.

        Args:
            strict: refuse where a plan is there but stale, foreign or damaged, instead of building another.
        Raises:
            EngineError: refused, or TensorRT cannot build it.
        """
        found = self.look(name, key, source)
        if found.plan is not None:
            return Plan(found.plan, True, "plan from cache")
        if strict and found.problem:
            raise EngineError(f"strict: {found.problem}; run once without --strict to build it again")
        with self._lock(key):
            found = self.look(name, key, source)  # another process may have built it meanwhile
            if found.plan is not None:
                return Plan(found.plan, True, "plan from cache, built by another process just now")
            why = f" again: {found.problem}" if found.problem else ""
            _LOG.warning("segrt: building a TensorRT plan for %s%s (this may take minutes)", source, why)
            data = build()
            note = self._store(self.path(name, key), data, record_of, source)
        return Plan(data, False, note)

    def reject(self, name: str, key: PlanKey, reason: str) -> None:
        """Remove a plan that TensorRT itself refused, although its key fits."""
        _LOG.warning("segrt: the cached plan of %s is thrown away: %s", name, reason)
        with suppress(OSError):
            remove_plan(self.path(name, key))

    def _store(self, path: Path, data: bytes, record_of: RecordOf, source: str) -> str:
        record = record_of(hashlib.sha256(data).hexdigest())
        try:
            write_plan(path, data, record)
        except OSError as error:
            note = f"the plan is new and will be built again next time: {cannot_write(path, error)}"
            _LOG.warning("segrt: %s", note)
            return note
        for other, old in self._records():  # what can never be wanted again
            if other != path and old.source == source and old.key.onnx_sha256 != record.key.onnx_sha256:
                with suppress(OSError):
                    remove_plan(other)
        return "plan new"

    def _relative(self, key: PlanKey, source: str) -> str:
        """Why no plan fits, where there is one of the same model file or of the same content."""
        related = [
            (path, record)
            for path, record in self._records()
            if record.source == source or record.key.onnx_sha256 == key.onnx_sha256
        ]
        if not related:
            return ""
        path, record = min(related, key=lambda pair: pair[1].key.differences(key).count(", needed is"))
        return f"{path.name} does not fit: {record.key.differences(key)}"

    def _records(self) -> Iterator[tuple[Path, PlanRecord]]:
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            with suppress(ModelError):
                yield path, read_record(path)

    @contextmanager
    def _lock(self, key: PlanKey) -> Iterator[None]:
        """One build at a time for each kind of GPU: two at once would disturb each other's timings.

        The system lets go of the lock when its process ends, however it ends. Where the folder cannot be written or
        locked, builds go unlocked; plans are whole all the same.
        """
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # plans are code: nobody else's business
        try:
            file: IO[bytes] | None = (self.folder / f".{key.package}-{key.capability}.lock").open("ab")
        except OSError:
            file = None
        if file is None:
            yield
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _LOG.warning("segrt: another process is building a TensorRT plan for this GPU; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:  # a file system without locks
                pass
            yield
