"""The C++ kernels. They trust their arguments: call them through segrt.runtime.kernels, which checks."""

from typing import Any

from numpy import float32, int64, uint8, uint16
from numpy.typing import NDArray

from . import _core_cuda as cuda

__all__ = ["cuda", "cuda_devices", "isa", "overlay", "postprocess", "preprocess", "set_isa", "steady"]

_Size = tuple[int, int]
_Box = tuple[int, int, int, int]
_Placement = tuple[_Size, _Size, _Box, _Box]

def preprocess(
    image: NDArray[Any],
    format: str,
    placement: _Placement,
    out: NDArray[Any] | None,
    layout: str,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    rgb: bool,
    white: int,
    bt709: bool,
    full_range: bool,
    threads: int,
    kept: tuple[NDArray[uint8], NDArray[uint16], NDArray[uint16], int, int] | None,
    /,
) -> tuple[int, int, int, int] | None:
    """Where something is kept: bytes that moved, how far a cell moved at most, cells that stand out, the middle one.

    Means of cells are in 16ths of a level.
    """

def postprocess(
    logits: NDArray[Any],
    placement: _Placement,
    activation: str,
    mask: NDArray[uint8],
    previous: NDArray[uint8] | None,
    threads: int,
    /,
) -> tuple[NDArray[int64], float, int, int]:
    """Areas per class, confidence (NaN where logits are not finite), non-finite logits, changed pixels."""

def steady(
    logits: NDArray[Any],
    seen: _Box,
    state: NDArray[float32],
    tally: NDArray[int64],
    threads: int,
    /,
) -> None:
    """Mix logits into the (classes, height, width) state, which postprocess then reads.

    `tally` is int64: known (0: the state holds nothing), nonfinite, leaps, mixed, and one of a GPU's own.
    """

def overlay(
    image: NDArray[uint8],
    mask: NDArray[uint8],
    palette: NDArray[uint8],
    alpha: NDArray[float32],
    out: NDArray[uint8],
    threads: int,
    /,
) -> None: ...
def isa() -> str:
    """The instruction set in use: "baseline", "avx2" or "avx512"."""

def set_isa(name: str, /) -> None:
    """For tests: force an instruction set, or "auto" for the best. ValueError where this CPU or build lacks it."""

def cuda_devices() -> tuple[list[str], str]:
    """The NVIDIA GPUs by device number, and why there are none (empty where there are some)."""
