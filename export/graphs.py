"""From what a user has, a checkpoint or an fp32 ONNX file, to the graphs that were asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from segrt.runtime import model as models
from segrt.runtime.bundles.report import Limits
from segrt.runtime.errors import ConfigError, ModelError
from segrt.runtime.onnx_file import read_onnx
from segrt.runtime.spec import ModelSpec
from segrt.trainer import checkpoint as checkpoints

from .calibration import Calibration
from .card import About
from .fp16 import to_fp16
from .gate import limits_of
from .half_weights import with_full_weights, with_half_weights
from .int8 import to_int8
from .onnx import to_onnx

Told = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """Which graphs, and how they are to be made; fp32 is always among them, as what the others are judged by."""

    fp16: bool = False
    calibration: Path | None = None  # a folder of pictures; int8 is made from it
    size_hw: tuple[int, int] | None = None  # of the input; None: the recipe's
    dynamic: bool = False  # leave batch, height and width open
    half_weights: bool = False  # store the fp32 graph's weights as float16


@dataclass(frozen=True, eq=False)
class Graphs:
    """What was made."""

    spec: ModelSpec
    onnx: dict[str, bytes]  # by precision
    network: nn.Module | None  # the reference, float32 on the CPU; None where there is no checkpoint
    limits: Limits
    about: About
    defect: str | None = None  # one line on why no mask can be believed
    reference: bytes | None = None  # where there is no checkpoint: the fp32 graph as it was given


def make_graphs(source: str, wanted: Wanted, told: Told = lambda text: None) -> Graphs:
    """Read `source` and make the graphs.

    Args:
        source: a checkpoint, or an fp32 .onnx file or shipped model's name (of its fp32 graph) where neither fp16 nor
            sizes are wanted.
        told: what comes next, for people.
    Raises:
        ModelError: the source cannot be read, or its network cannot take the size.
        DataError: there are no calibration pictures, or one cannot be read.
        ConfigError: the source is a bundle, or a graph where what is wanted needs a checkpoint.
    """
    if Path(source).suffix == ".segrt":
        raise ConfigError(
            f"{source} is a bundle, expected a checkpoint: `segrt run` takes bundles as they are, and builds engines "
            "from them where there is a GPU"
        )
    is_graph = source in models.shipped() or Path(source).suffix == ".onnx"
    made = _of_graph(source, wanted) if is_graph else _of_checkpoint(Path(source), wanted, told)
    if wanted.calibration is not None:
        batches = Calibration(wanted.calibration, made.spec)
        told(f"int8 from {len(batches)} pictures")
        made.onnx["int8"] = to_int8(with_full_weights(made.onnx["fp32"]), batches)
    if wanted.half_weights:
        told("half weights")
        made.onnx["fp32"] = with_half_weights(made.onnx["fp32"])
    return made


def _of_checkpoint(path: Path, wanted: Wanted, told: Told) -> Graphs:
    checkpoint = checkpoints.load(path)
    spec = checkpoints.spec_of(checkpoint.config)
    spec = spec if wanted.size_hw is None else replace(spec, input_hw=wanted.size_hw)
    network = checkpoint.network()
    multiple = network.multiple
    assert isinstance(multiple, int)
    if any(length % multiple for length in spec.input_hw):
        height, width = spec.input_hw
        raise ModelError(f"this network needs sizes that are multiples of {multiple}, found {height}x{width}")
    if wanted.calibration is not None:
        Calibration(wanted.calibration, spec)  # a mistake there is better told now than after the other graphs
    graphs = {}
    for precision, export in (("fp32", to_onnx), ("fp16", to_fp16)):
        if precision == "fp32" or wanted.fp16:
            told(precision)
            graphs[precision] = export(network, spec, wanted.dynamic)
    return Graphs(spec, graphs, network, limits_of(checkpoint.config.export), About.of(checkpoint, _note(path)))


def _of_graph(source: str, wanted: Wanted) -> Graphs:
    if wanted.fp16 or wanted.dynamic or wanted.size_hw is not None:
        raise ConfigError(f"{source} is a graph already: --fp16, --dynamic and --size need the checkpoint it came from")
    is_bundle = models.find(source).suffix == ".segrt"
    model = models.load(source, precision="fp32" if is_bundle else None)
    if model.arithmetic != "f32":
        raise ConfigError(f"{source} is an {model.arithmetic} graph, expected an fp32 one")
    about = About(note=_note(model.path))
    fp32 = _in_one_piece(model)
    return Graphs(model.spec, {"fp32": fp32}, None, Limits(), about, model.defect, fp32)


def _in_one_piece(model: models.Model) -> bytes:
    """The graph's bytes; weights that lie in files beside it are taken in."""
    data = model.read()
    if not read_onnx(model.path, data).data_files:
        return data
    import onnx

    whole: bytes = onnx.load(model.path).SerializeToString()
    return whole


def _note(path: Path) -> str:
    """The card beside a file, NAME.md: its author tells more than a checkpoint or a graph does."""
    card = path.with_suffix(".md")
    return card.read_text() if card.is_file() else ""
