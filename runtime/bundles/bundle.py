"""Bundles (`name.segrt`): the graphs of a model, its golden frames with their masks, its card, and the hash of each.

    manifest.json            schema, and for each other entry its size and SHA-256
    spec.json                the ModelSpec, the same as inside each graph
    report.json              what the parity gate found when the bundle was made
    card.md                  the model card
    graphs/fp32.onnx, ...    see `report.PRECISIONS`
    golden/000.frame.png     and .mask.png, and .truth.png where the truth is known

Hashes tell that a bundle is whole, not who made it: where that matters, publish the file's SHA-256 beside it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..spec import ModelSpec
from .archive import MANIFEST, Entry, open_archive
from .parity import Golden
from .report import PRECISIONS, GateReport

SUFFIX = ".segrt"
SCHEMA = 1
"""Raised when bundles change so that older versions of segrt cannot use them."""

INT8_BACKENDS = ("openvino", "onnxruntime")
"""Backends that gain by int8 on a CPU. Others may be asked for it by name."""

SPEC, REPORT, CARD = "spec.json", "report.json", "card.md"

_MAX_PIXELS = 64 << 20  # of a golden frame: a PNG of a few bytes can claim any size


@dataclass(frozen=True, eq=False)
class Bundle:
    """An open bundle. Its manifest, spec and report were read; each other entry is checked when it is read."""

    path: Path
    sha256: str  # of the manifest, which holds every other hash: it changes with any byte of the content
    entries: Mapping[str, Entry]
    graphs: Mapping[str, str]  # precision -> entry
    frames: tuple[Mapping[str, str], ...]  # each with "name", "frame", "mask" and perhaps "truth"
    spec: ModelSpec
    report: GateReport

    def golden(self) -> tuple[Golden, ...]:
        """Decode the golden frames.

        Raises:
            ModelError: one is damaged, or its masks are of another size.
        """
        decoded = []
        for names in self.frames:
            image = self._picture(names["frame"], cv2.IMREAD_COLOR)
            mask = self._picture(names["mask"], cv2.IMREAD_GRAYSCALE)
            truth = self._picture(names["truth"], cv2.IMREAD_GRAYSCALE) if "truth" in names else None
            if any(each is not None and each.shape != image.shape[:2] for each in (mask, truth)):
                raise ModelError(f"{self.path}: the golden frame {names['name']!r} and its masks differ in size")
            decoded.append(Golden(names["name"], image, mask, truth))
        return tuple(decoded)

    def pick(self, backend: str, device: str, asked: str | None = None) -> tuple[str, str]:
        """Which graph a backend is given, and why in a few words.

        int8 for OpenVINO and ONNX Runtime on a CPU, fp16 on a GPU, where the bundle has them and its gate let them
        pass; otherwise fp32.

        Raises:
            ModelError: `asked` is a precision that the bundle has not.
        """
        if asked is not None:
            if asked not in self.graphs:
                raise ModelError(f"{self.path} has no {asked} graph; it has {', '.join(self.graphs)}")
            return asked, "as asked"
        wanted = "fp16" if device.startswith("cuda") else "int8" if backend in INT8_BACKENDS else "fp32"
        if wanted == "fp32":
            return "fp32", "the reference's own arithmetic"
        if wanted not in self.graphs:
            return "fp32", f"the bundle has no {wanted} graph"
        if not self._let_through(wanted, backend, device):
            return "fp32", f"{wanted} did not pass the gate on {backend}"
        return wanted, "the fastest that passed the gate"

    def check(self) -> None:
        """Read every entry, used here or not.

        Raises:
            ModelError: one is damaged.
        """
        with open_archive(self.path) as archive:
            for name, entry in self.entries.items():
                archive.copy(name, entry, lambda chunk: None)

    def card(self) -> str:
        """The model card, Markdown."""
        return self._read(CARD).decode(errors="replace")

    def graph(self, precision: str) -> bytes:
        """A graph, as it would be in an .onnx file; read from the bundle itself, so that nothing must be writable.

        Raises:
            ModelError: the bundle has no such graph, or it is damaged.
        """
        if precision not in self.graphs:
            raise ModelError(f"{self.path} has no {precision} graph; it has {', '.join(self.graphs)}")
        return self._read(self.graphs[precision])

    def _let_through(self, precision: str, backend: str, device: str) -> bool:
        """Whether the gate's own try on this backend passed; for fp16, where there was no GPU to try, any try."""
        rows = [row for row in self.report.rows if row.precision == precision]
        kind = device.split(":")[0]
        own = [row for row in rows if row.backend == backend and row.device.split(":")[0] == kind]
        return any(row.passed for row in (own or (rows if precision == "fp16" else [])))

    def _picture(self, name: str, flags: int) -> NDArray[np.uint8]:
        data, pixels = self._read(name), None
        if data.startswith(b"\x89PNG") and len(data) > 24:
            width, height = struct.unpack_from(">II", data, 16)  # after the signature and its first chunk's head
            if width * height <= _MAX_PIXELS:
                pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if pixels is None:
            raise ModelError(f"{self.path}: {name} is no PNG of up to {_MAX_PIXELS >> 20} megapixels")
        return np.asarray(pixels, np.uint8)

    def _read(self, name: str) -> bytes:
        with open_archive(self.path) as archive:
            return archive.read(name, self.entries[name])


def open_bundle(path: Path) -> Bundle:
    """Read what a bundle says of itself, and check that it holds what its manifest lists and nothing else.

    Raises:
        ModelError: no bundle, of another schema, damaged, or made to do harm.
    """
    with open_archive(path) as archive:
        data = archive.manifest()
        entries, graphs, frames = _contents(path, data)
        archive.compare(entries)
        spec, report = (archive.read(name, entries[name]).decode(errors="replace") for name in (SPEC, REPORT))
    try:
        found = GateReport.from_dict(json.loads(report))
    except (ModelError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its {REPORT} cannot be used: {error}") from None
    origin = f"{SPEC} in {path}"
    digest = hashlib.sha256(data).hexdigest()
    return Bundle(path, digest, entries, graphs, frames, ModelSpec.from_json(spec, origin=origin), found)


def _contents(path: Path, data: bytes) -> tuple[dict[str, Entry], dict[str, str], tuple[dict[str, str], ...]]:
    """What a manifest lists: entries, graphs by precision, golden frames."""
    try:
        manifest: Any = json.loads(data)
        schema = manifest["schema"]
        if schema != SCHEMA:
            raise ModelError(f"{path} is a bundle of schema {schema!r}, this segrt reads {SCHEMA}: update segrt")
        entries = {str(n): Entry(int(e["bytes"]), str(e["sha256"]).lower()) for n, e in manifest["entries"].items()}
        graphs = {precision: str(manifest["graphs"][precision]) for precision in manifest["graphs"]}
        frames = tuple({str(key): str(value) for key, value in frame.items()} for frame in manifest["golden"])
        named = [frame[key] for frame in frames for key in ("frame", "mask")]
        named += [frame["truth"] for frame in frames if "truth" in frame]
        complete = bool(frames) and all("name" in frame for frame in frames)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: its {MANIFEST} cannot be used ({type(error).__name__}: {error})") from None
    if not complete or "fp32" not in graphs or set(graphs) - set(PRECISIONS):
        raise ModelError(
            f"{path}: its {MANIFEST} must list golden frames and graphs, fp32 and perhaps fp16 and int8; "
            f"found {len(frames)} frames and {', '.join(graphs) or 'no graph'}"
        )
    for name in (SPEC, REPORT, CARD, *graphs.values(), *named):
        if name not in entries:
            raise ModelError(f"{path}: its {MANIFEST} has no hash of {name!r}: it is not whole")
    if bad := [entry for entry in entries.values() if not _is_hash(entry.sha256)]:
        raise ModelError(f"{path}: its {MANIFEST} has {bad[0].sha256[:80]!r} where a SHA-256 is expected")
    return entries, graphs, frames


def _is_hash(text: str) -> bool:
    """64 hexadecimal digits and nothing else: hashes become file names in the cache."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
