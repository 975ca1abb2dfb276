"""The model card of a bundle: what a person should know before using the model, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segrt.runtime.bundles.report import GateReport
from segrt.runtime.spec import ModelSpec
from segrt.trainer.checkpoint import Checkpoint

from .bundle import versions


@dataclass(frozen=True)
class About:
    """What the card says beside what the spec and the gate know."""

    data: str = "not told"  # what the model was trained on
    figures: Mapping[str, Any] = field(default_factory=dict)  # measured on validation data, by name
    network: str = "not told"
    note: str = ""  # Markdown of the author: intended use, origin and licence of the data, known failures

    @classmethod
    def of(cls, checkpoint: Checkpoint, note: str = "") -> About:
        """What a checkpoint tells of itself."""
        data, network = checkpoint.config.data, checkpoint.config.network
        noisy = f", noisy labels {_end(data.noisy)}" if data.noisy else ""
        told = f"{Path(data.root).name}, split {data.train}{noisy}"
        return cls(told, checkpoint.figures, f"{network.name}, width {network.width}", note)


def _end(path: str) -> str:
    """The last two parts of a path: the rest tells of the machine, and the card may go round the world."""
    return "/".join(Path(path).parts[-2:])


def model_card(spec: ModelSpec, graphs: Mapping[str, bytes], report: GateReport, about: About) -> str:
    """Write the card.

    Args:
        graphs: ONNX files by precision; only their sizes are told.
    """
    height, width = spec.input_hw
    sizes = ", ".join(f"{precision} {len(data) / 1e6:.1f} MB" for precision, data in graphs.items())
    rows = (
        ("classes", ", ".join(f"{i} {name}" for i, name in enumerate(spec.class_names))),
        ("network", about.network),
        ("input", f"{width}x{height} pixels, {spec.fit.value}; {spec.colour_order.value.upper()} bytes"),
        ("normalisation", f"(byte - {list(spec.mean)}) / {list(spec.std)}"),
        ("graphs", sizes),
        ("trained on", about.data),
    )
    note = about.note.strip()
    parts = [
        "" if note.startswith("# ") else f"# {spec.name}, version {spec.version}",
        note or _USE.format(classes=", ".join(spec.class_names)),
        "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows)]),
        "## Figures\n\n" + _figures(about.figures),
        "## Parity\n\nWhat each graph's masks of the golden frames have in common with the reference's, and the mean "
        "IoU that is lost against the truth, in points.\n\n```\n" + report.table() + "\n```",
        "`segrt verify` repeats this on the machine where the model runs.",
        "## Limits\n\n" + _LIMITS,
        "## Made with\n\n" + ", ".join(f"{name} {number}" for name, number in versions().items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(figures: Mapping[str, Any]) -> str:
    numbers = {name: value for name, value in figures.items() if isinstance(value, (int, float))}
    if not numbers:
        return "None were measured, or none came with the checkpoint."
    lines = (f"| {_cell(name)} | {value:.4g} |" for name, value in numbers.items())
    return "\n".join(["| measured in training, on its validation split | |", "|---|---|", *lines])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


_USE = (
    "Intended use: telling {classes} apart in pictures like those that it was trained on. The author of this model has "
    "written nothing more about it."
)

_LIMITS = (
    "A network knows what its training data showed: on other scanners, lights, people or scenes its figures are not "
    "known. It gives every pixel some class, also where nothing of the kind is in the picture. Parity says that "
    "engines answer alike, not that the answer is right. Not a medical device."
)
