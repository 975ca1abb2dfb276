"""The paper's U-Net for bench/gpu.py, opened as users open a model, and the other ways that torch has to run it."""

from __future__ import annotations

import copy
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segrt import ModelSpec
from segrt.runtime.engines.torch_cuda import TorchCudaEngine, open_engine
from segrt.runtime.engines.torch_program import Program
from segrt.runtime.model import Model, load
from segrt.runtime.spec import SPEC_KEY
from segrt.trainer.networks.unet import UNet

GREY = 127.5
"""Mean and standard deviation of the input, as the paper's network has it."""

COMPILE_LIMIT_S = 60


def paper_network(width: int) -> UNet:
    """Random weights; a head with an opinion, so that masks have regions rather than noise."""
    torch.manual_seed(0)
    network = UNet(3, width).eval()
    nn.init.normal_(network.head.weight, std=0.5)
    return network


def paper_spec(side: int) -> ModelSpec:
    """Three classes, square input."""
    return ModelSpec((side, side), ("rest", "tooth", "caries"), (GREY, GREY, GREY), (GREY, GREY, GREY))


def open_paper(network: UNet, spec: ModelSpec, folder: Path, device: torch.device) -> tuple[TorchCudaEngine, str]:
    """The engine as users open it, from an .onnx file; from the module where torch cannot export here."""
    try:
        model = exported(network, spec, folder)
    except Exception as error:  # a missing onnxscript, for instance
        return TorchCudaEngine(halved(network, device), spec.input_hw, device), f"torch module, for {one_line(error)}"
    if device.type == "cpu":
        return TorchCudaEngine(Program(model, device), spec.input_hw, device), "onnx"
    return open_engine(model, f"cuda:{device.index}"), "onnx"


def exported(network: UNet, spec: ModelSpec, folder: Path) -> Model:
    """The network as an .onnx file in `folder`, made by torch alone: `segrt export` needs more packages."""
    path = folder / "paper.onnx"
    if not path.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (torch.zeros(1, 3, *spec.input_hw),),
                input_names=["image"],
                output_names=["logits"],
                opset_version=18,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        proto: Any = program.model_proto
        proto.metadata_props.add(key=SPEC_KEY, value=spec.to_json())
        path.write_bytes(proto.SerializeToString())
    return load(path)


def halved(network: UNet, device: torch.device) -> nn.Module:
    """A copy in float16 and channels-last."""
    return copy.deepcopy(network).half().to(device, memory_format=torch.channels_last)


def compiled(network: UNet, spec: ModelSpec, device: torch.device, mode: str) -> Callable[..., Any]:
    """What torch.compile makes of it, compiled by now.

    Raises:
        TimeoutError: it took longer than `COMPILE_LIMIT_S`.
    """
    function = torch.compile(halved(network, device), mode=mode)
    example = torch.zeros(1, 3, *spec.input_hw, dtype=torch.float16, device=device)
    with _time_limit(COMPILE_LIMIT_S), torch.inference_mode():
        for _ in range(3):
            function(example.contiguous(memory_format=torch.channels_last))
    return function


def other_engines(
    network: UNet, spec: ModelSpec, folder: Path, device: torch.device
) -> dict[str, Callable[[], TorchCudaEngine]]:
    """The same network, had our engine not measured its convolutions, or had it left everything to torch.compile."""
    return {
        "each convolution plain": lambda: TorchCudaEngine(
            Program(exported(network, spec, folder), device), spec.input_hw, device
        ),
        "torch.compile": lambda: TorchCudaEngine(compiled(network, spec, device, "default"), spec.input_hw, device),
    }


def one_line(error: Exception) -> str:
    """What failed, short enough for a table."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
