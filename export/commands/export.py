"""`segrt export`: from a checkpoint to an ONNX file with its spec."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from segrt.runtime.errors import ConfigError


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser("export", help="write a checkpoint as ONNX (needs the extra 'export')")
    parser.add_argument("checkpoint", type=Path, help="what `segrt train` wrote, e.g. runs/teeth/model.safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .onnx file")
    parser.add_argument("--size", type=_size, metavar="HxW", help="input size (default: that of the recipe)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export, and say how well the file agrees with the checkpoint."""
    try:
        import onnxruntime  # noqa: F401  # the check needs it; better missing now than after a minute of export
        import onnxslim  # type: ignore[import-untyped]  # noqa: F401

        from ..onnx import export_onnx
    except ModuleNotFoundError as error:
        raise ConfigError(f"export needs {error.name}; install it: pip install 'segrt[export,onnxruntime]'") from None
    from rich.console import Console

    from segrt.trainer.checkpoint import load

    parity = export_onnx(load(options.checkpoint), options.output, options.size)
    low, high = parity.logit_range
    Console().print(
        f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB; against the checkpoint, "
        f"{parity.agreement:.3%} of pixels agree, largest difference {parity.max_difference:.1e} "
        f"of logits {low:.1f} .. {high:.1f}",
        soft_wrap=True,
        highlight=False,
    )
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"a size is HEIGHTxWIDTH, e.g. 480x640; found {text!r}")
    return int(match[1]), int(match[2])
