"""From what a user calls a model to a file and the spec that goes with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ModelError
from .onnx_file import FLOAT16, FLOAT32, OnnxFile, nonfinite_weights, read_onnx, shape_text
from .spec import SPEC_KEY, ModelSpec

if TYPE_CHECKING:
    from .bundles.bundle import Bundle

SHIPPED_DIR = Path(__file__).parent / "models"
_SHIPPED_AS = (".segrt", ".onnx")
"""Where both are there, the first is meant by the name."""

PRECISION_OF = {"f32": "fp32", "f16": "fp16", "int8": "int8"}
"""What `--precision` calls a graph, by its arithmetic."""

MIN_OPSET, MAX_OPSET = 7, 30
"""Before 7 operators broadcast otherwise; what is newer than the second does not exist yet, or the file is damaged."""


@dataclass(frozen=True)
class Model:
    """A model and how to use it."""

    path: Path
    spec: ModelSpec
    input_name: str
    output_name: str
    arithmetic: str = "f32"  # what the graph says: "f32", "f16" or "int8"
    defect: str | None = None  # one line on why no mask of this model can be believed
    bundle: Bundle | None = None  # where the file was taken from, if it was
    precision: str | None = None  # which of the bundle's graphs it is,
    why: str = ""  # and why that one
    data: bytes | None = field(default=None, repr=False)  # that graph, which lies in no file of its own

    def read(self) -> bytes:
        """The bytes of the graph, or of the engine: the file's, or those that the bundle held."""
        return self.path.read_bytes() if self.data is None else self.data

    @property
    def source(self) -> str:
        """Where the graph lies, as no other graph does: for caches of what was made of it."""
        place = str(self.path.resolve())
        return place if self.data is None else f"{place}, its {self.precision} graph"

    def sha256(self) -> str:
        """Hash of those bytes, in hexadecimal."""
        return hashlib.sha256(self.read()).hexdigest()


def shipped() -> list[str]:
    """Names of the models that come with segrt."""
    return sorted({path.stem for suffix in _SHIPPED_AS for path in SHIPPED_DIR.glob(f"*{suffix}")})


def is_shipped(path: Path) -> bool:
    """Whether a file is one of those."""
    return path.parent == SHIPPED_DIR


def find(name: str | Path) -> Path:
    """The file of a shipped model's name (`teeth`) or of a path.

    Raises:
        ModelError: there is no such model or file, or it is of a kind that segrt does not run.
    """
    if not isinstance(name, (str, Path)) or not str(name):
        raise ModelError(f"a model is the name of a shipped one or the path of a bundle or .onnx file, found {name!r}")
    path = Path(name)
    if str(name) in shipped():
        files = (SHIPPED_DIR / f"{name}{suffix}" for suffix in _SHIPPED_AS)
        return next(file for file in files if file.is_file())
    if path.is_dir():
        raise ModelError(f"{path} is a directory, expected a bundle or an .onnx file")
    if not path.exists():
        raise ModelError(
            f"there is no model {str(name)!r}: give a bundle, an .onnx file or one of {', '.join(shipped()) or 'none'}"
        )
    if path.suffix not in (".onnx", ".segrt", ".engine"):
        raise ModelError(
            f"{path} is no bundle, .onnx or .engine file; a checkpoint becomes one by: "
            f"segrt export {path} -o {path.stem}.segrt"
        )
    return path


def load(
    name: str | Path,
    given: dict[str, Any] | None = None,
    *,
    backend: str = "",
    device: str = "cpu",
    precision: str | None = None,
) -> Model:
    """Find a model and read the spec inside it.

    Args:
        name: a shipped model's name, or the path of a bundle (.segrt), an .onnx file or a TensorRT .engine.
        given: spec fields that take the place of, or supply, those in the file.
        backend, device: what it is for, as `engines.choose` gives them: they decide which graph of a bundle is taken.
        precision: take this graph of a bundle instead; of a single graph: what it must be.
    Raises:
        ModelError: no such model, no spec, a spec that does not fit the graph, or a damaged bundle.
    """
    path = find(name)
    if path.suffix == ".segrt":
        from .bundles.bundle import open_bundle

        bundle = open_bundle(path)
        taken, why = bundle.pick(backend, device, precision)
        model = _load(path, given, bundle.graph(taken))
        if not given and model.spec != bundle.spec:
            raise ModelError(
                f"{path}: the spec inside its {taken} graph is not its own spec: it was put together wrongly"
            )
        return replace(model, bundle=bundle, precision=taken, why=why)
    if precision is None and path.suffix == ".engine":
        from .plan_file import model_of

        return model_of(path, given, backend)
    single = None if path.suffix == ".engine" else _load(path, given)
    if single is None or precision not in (None, PRECISION_OF[single.arithmetic]):
        raise ModelError(f"{path} is a single graph: --precision {precision} chooses among the graphs of a bundle")
    return single


def _load(path: Path, given: dict[str, Any] | None, data: bytes | None = None) -> Model:
    """What `path` holds; or, where `data` is one of the graphs in it, what that is."""
    onnx = read_onnx(path, data)
    _check_data_files(path, onnx, alone=data is not None)
    given = dict(given or {})
    known = {field.name for field in fields(ModelSpec)}
    if unknown := sorted(set(given) - known):
        raise ModelError(f"a spec has no field {unknown[0]!r}; it has {', '.join(sorted(known))}")
    if "class_names" in given:
        given = {"palette": (), "hidden": (0,), **given}  # those of the file belong to its own classes
    text = onnx.metadata.get(SPEC_KEY)
    if text is not None:
        spec = replace(ModelSpec.from_json(text, origin=f"the spec in {path}"), **given)
    elif {"class_names", "mean", "std"} <= set(given):
        given.setdefault("input_hw", _graph_input_hw(path, onnx))
        spec = ModelSpec(**{"name": path.stem, **given})
    else:
        raise ModelError(
            f"{path} carries no segrt spec (metadata key {SPEC_KEY!r}): supply it with --classes, --mean and --std "
            "(and --colour-order, --fit), or export the model with segrt export"
        )
    _check(path, onnx, spec)
    names = next(iter(onnx.inputs)), next(iter(onnx.outputs))
    model = Model(path, spec, *names, onnx.arithmetic, data=data)
    return replace(model, defect=_defect(model))


def _graph_input_hw(path: Path, onnx: OnnxFile) -> tuple[int, int]:
    shape = next(iter(onnx.inputs.values()))
    if len(shape) != 4 or shape[2] is None or shape[3] is None:
        raise ModelError(
            f"{path} takes {shape_text(shape)}, expected 1x3xHxW with fixed H and W: export it with fixed sizes, or "
            "with a spec inside, whose input_hw is then taken"
        )
    return shape[2], shape[3]


def _defect(model: Model) -> str | None:
    bad, path = nonfinite_weights(model.read()), model.path
    if not bad:
        return None
    name, count = next(iter(bad.items()))
    others = f" and {len(bad) - 1} more of its weights" if len(bad) > 1 else ""
    return f"{path} holds {count} NaN or infinite values in {name!r}{others}: the file is damaged, or training diverged"


def _check_data_files(path: Path, onnx: OnnxFile, alone: bool) -> None:
    for name in onnx.data_files:
        if alone:
            raise ModelError(f"{path}: a graph in it keeps weights in a file, {name!r}, and a bundle holds no such one")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(f"{path} wants weights from {name!r}, outside its own folder: it may be made to do harm")
        if not (path.parent / name).is_file():
            raise ModelError(
                f"{path} keeps weights in a file of their own, {name!r}, which is not beside it: copy both, or export "
                "the model as one file (external_data=False)"
            )


def _check(path: Path, onnx: OnnxFile, spec: ModelSpec) -> None:
    if len(onnx.inputs) != 1 or len(onnx.outputs) != 1:
        raise ModelError(f"{path} has {len(onnx.inputs)} inputs and {len(onnx.outputs)} outputs, expected one of each")
    if any(kind not in (FLOAT32, FLOAT16) for kind in onnx.types.values()):
        raise ModelError(
            f"{path} takes or gives other numbers than float32 or float16: export it with an input and output of those"
        )
    if not MIN_OPSET <= onnx.opset <= MAX_OPSET:
        raise ModelError(
            f"{path} uses ONNX operator set {onnx.opset}, expected {MIN_OPSET} to {MAX_OPSET}: export it with "
            "opset_version=18"
        )
    expected: tuple[int, ...] = (1, 3, *spec.input_hw)
    shape = next(iter(onnx.inputs.values()))
    if len(shape) != 4 or any(found is not None and found != want for found, want in zip(shape, expected, strict=True)):
        raise ModelError(
            f"{path} takes {shape_text(shape)}, but by its spec or the flags it should take {shape_text(expected)}"
        )
    shape = next(iter(onnx.outputs.values()))
    classes = len(spec.class_names)
    if shape and (len(shape) != 4 or shape[1] not in (None, classes)):
        raise ModelError(
            f"{path} gives {shape_text(shape)}, but by its spec or the flags there are {classes} classes "
            f"({', '.join(spec.class_names[:8])}{', ...' if classes > 8 else ''}): expected 1x{classes}xhxw logits"
        )
