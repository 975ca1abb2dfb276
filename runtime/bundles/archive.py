"""The zip under a bundle, read with distrust.

Entries are stored, not compressed, and together no larger than the file: so nothing in it can swell. Each is read up to
the size that the manifest gives and must have the SHA-256 that the manifest gives. No name in it ever becomes a path.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError

MANIFEST = "manifest.json"
"""The one entry that is not listed in itself."""

_MAX_MANIFEST = 16 << 20
_MAX_ENTRIES = 10_000
_CHUNK = 1 << 20
_ENCRYPTED = 0x1  # bit of a zip entry's flags

# What zipfile raises for files that are no zip, are cut short or were tampered with.
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, struct.error)


@dataclass(frozen=True)
class Entry:
    """What the manifest says of a file in the zip."""

    size: int
    sha256: str


class Archive:
    """An open zip, from `open_archive`: its entries are stored, named once and together no larger than the file."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        self._infos: dict[str, zipfile.ZipInfo] = {}
        infos = archive.infolist()
        if len(infos) > _MAX_ENTRIES:
            raise ModelError(f"{path} has {len(infos)} entries, expected at most {_MAX_ENTRIES}: it is no bundle")
        for info in infos:
            self._check(info)
            self._infos[info.filename] = info
        if sum(info.file_size for info in infos) > path.stat().st_size:
            raise ModelError(f"{path} claims to hold more bytes than it has: it was made to do harm, or is damaged")

    def manifest(self) -> bytes:
        """The manifest's bytes.

        Raises:
            ModelError: there is none, or it is damaged.
        """
        if MANIFEST not in self._infos:
            raise ModelError(f"{self._path} is no bundle: it lacks {MANIFEST}")
        size = self._infos[MANIFEST].file_size
        if size > _MAX_MANIFEST:
            raise ModelError(f"{self._path}: its {MANIFEST} has {size} bytes, expected at most {_MAX_MANIFEST}")
        return b"".join(self._chunks(MANIFEST))

    def compare(self, entries: Mapping[str, Entry]) -> None:
        """Raise a ModelError unless the zip holds exactly these entries, each of its size."""
        if missing := sorted(set(entries) - set(self._infos)):
            raise ModelError(f"{self._path} lacks {missing[0]!r}, which its {MANIFEST} lists: it is not whole")
        if extra := sorted(set(self._infos) - set(entries) - {MANIFEST}):
            raise ModelError(f"{self._path} holds {extra[0]!r}, which its {MANIFEST} does not list: it was changed")
        for name, entry in entries.items():
            if (found := self._infos[name].file_size) != entry.size:
                raise ModelError(f"{self._path}: {name} has {found} bytes, its {MANIFEST} says {entry.size}")

    def copy(self, name: str, entry: Entry, write: Callable[[bytes], Any]) -> None:
        """Hand an entry's bytes to `write`, piece by piece.

        Raises:
            ModelError: it has another hash; what was written then must not be used.
        """
        digest = hashlib.sha256()
        for chunk in self._chunks(name):
            digest.update(chunk)
            write(chunk)
        if digest.hexdigest() != entry.sha256:
            raise ModelError(
                f"{self._path}: {name} has another SHA-256 than its {MANIFEST} says: it is damaged or was changed; "
                "get the bundle again"
            )

    def read(self, name: str, entry: Entry) -> bytes:
        """An entry's bytes, as `copy` gives them."""
        parts: list[bytes] = []
        self.copy(name, entry, parts.append)
        return b"".join(parts)

    def _check(self, info: zipfile.ZipInfo) -> None:
        where = f"{self._path}: its entry {info.filename!r}"
        parts = info.filename.split("/")
        if not all(parts) or {".", ".."} & set(parts) or any(c in info.filename for c in "\\:\0"):
            raise ModelError(f"{where} has a name that leads elsewhere: it is no bundle, or was made to do harm")
        if info.filename in self._infos:
            raise ModelError(f"{where} is there twice: it was changed")
        if info.flag_bits & _ENCRYPTED:
            raise ModelError(f"{where} is encrypted: it is no bundle")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ModelError(f"{where} is compressed, which entries of bundles never are: pack it with segrt export")

    def _chunks(self, name: str) -> Iterator[bytes]:
        info, left = self._infos[name], self._infos[name].file_size
        try:
            with self._archive.open(info) as file:
                while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                    left -= len(chunk)
                    yield chunk
        except _DAMAGE as error:
            raise ModelError(f"{self._path}: {name} is damaged ({error}); get the bundle again") from None
        except OSError as error:
            raise ModelError(f"{self._path} cannot be read: {(error.strerror or str(error)).lower()}") from None


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a bundle's zip.

    Raises:
        ModelError: no zip, or one that no segrt has written.
    """
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except _DAMAGE as error:
        raise ModelError(f"{path} is no bundle, or is cut short ({str(error).lower()})") from None
    with archive:
        yield Archive(path, archive)
