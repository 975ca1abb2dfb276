"""From a whole frame in memory to its mask: segrt and what a user would pick instead, on the same network.

The table of who takes part; `python -m bench.peers` measures them.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

from segrt.runtime.placement import Fit

DEFAULT = "default"
"""In the place of a graph's precision: the one that the model's bundle picks by itself, as `segrt.open` does."""


class Entry(NamedTuple):
    """Where a peer's code lies, what it needs and what it does."""

    module: str  # has `open_peer(model, threads)`, see base.py
    packages: tuple[str, ...]  # what it imports
    install: str  # how a user gets them
    does: str  # in words, for the table: above all what it does less than segrt
    graphs: tuple[str, ...] = ("fp32",)  # of the bundle, those that it can run; the faster one counts
    tutorial: bool = False  # what a tutorial would give: an engine between lines of numpy and OpenCV
    fit: Fit | None = None  # how it places frames where that is not the spec's way

    def missing(self) -> str:
        """Why it cannot take part, with the pip line; empty where it can."""
        absent = [name for name in self.packages if not find_spec(name)]
        return f"{', '.join(absent)} is not installed: {self.install}" if absent else ""


_USUAL = "letterboxes and normalises in OpenCV and NumPy; enlarges the logits with cv2.resize, np.argmax"
_IN_TORCH = "letterboxes and normalises in OpenCV and NumPy; enlarges the logits and takes their argmax in torch"
_BOTH = ("fp32", "int8")

OURS = "segrt"

PEERS = {
    OURS: Entry(".ours", (), "", "also areas, confidence, NaN check, changed pixels", (DEFAULT, "fp32")),
    "openvino": Entry(".openvino", ("openvino",), "pip install openvino", _USUAL, _BOTH, tutorial=True),
    "openvino-ppp": Entry(
        ".openvino_ppp",
        ("openvino",),
        "pip install openvino",
        "as openvino, but the graph takes bytes and normalises them (PrePostProcessor)",
        _BOTH,
    ),
    "model-api": Entry(
        ".model_api",
        ("model_api", "openvino"),
        "pip install --no-deps openvino-model-api",
        "stretches instead of letterboxing; enlarges the mask by nearest neighbour, not the logits",
        _BOTH,
        fit=Fit.STRETCH,
    ),
    "onnxruntime": Entry(
        ".onnxruntime", ("onnxruntime",), "pip install 'segrt[onnxruntime]'", _USUAL, _BOTH, tutorial=True
    ),
    "opencv-dnn": Entry(
        ".opencv_dnn",
        ("cv2",),
        "pip install opencv-python",
        "letterboxes in OpenCV, blobFromImage; enlarges the logits with cv2.resize, np.argmax",
    ),  # OpenCV 5.0 refuses the int8 graph
    "ncnn": Entry(
        ".ncnn",
        ("ncnn", "pnnx"),
        "pip install ncnn && pip install --no-deps pnnx",
        "letterboxes in OpenCV, normalises in ncnn; enlarges the logits with cv2.resize, np.argmax",
    ),
    "ultralytics": Entry(
        ".ultralytics",
        ("ultralytics", "torch", "torchvision", "onnxruntime"),
        "pip install 'segrt[pytorch,onnxruntime]' requests psutil polars pyyaml pillow matplotlib && "
        "pip install --no-deps ultralytics ultralytics-thop torchvision==0.28.0",
        "its own letterbox (grey 114); ONNX Runtime; enlarges the logits and takes their argmax in torch",
        _BOTH,
    ),
    "pytorch": Entry(".eager", ("torch", "onnx"), "pip install 'segrt[pytorch]'", f"eager; {_IN_TORCH}"),
    "torch.compile": Entry(
        ".compiled", ("torch", "onnx"), "pip install 'segrt[pytorch]'", f"inductor's C++; {_IN_TORCH}"
    ),
}

OVERLAYS = {
    OURS: Entry(".ours_overlay", (), "", "in one pass over the class ids", (DEFAULT,)),
    "supervision": Entry(
        ".supervision",
        ("supervision",),
        "pip install supervision",
        "MaskAnnotator; a mask of booleans per class is made first, for it takes no class ids",
        (DEFAULT,),
    ),
}
"""A frame and its mask in, a picture out; the mask is segrt's and made beforehand."""
