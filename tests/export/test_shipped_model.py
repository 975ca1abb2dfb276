"""The model that `segrt run` takes by default must be good enough to show, and the same through every way in."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import segrt
from segrt.trainer.metrics import Confusion

ROOT = Path(__file__).parents[2]


def frames(video: Path, every: int) -> dict[int, np.ndarray]:
    capture, found, index = cv2.VideoCapture(str(video)), {}, 0
    while capture.grab():
        if index % every == 0:
            found[index] = capture.retrieve()[1]
        index += 1
    capture.release()
    return found


def test_the_default_model_says_what_it_is():
    with segrt.open("teeth", backend="onnxruntime") as segment:
        assert segment.spec.class_names == ("other", "tooth")
        assert segment.spec.name == "teeth"
        assert segment.spec.input_hw == (480, 480)
    assert (ROOT / "runtime" / "models" / "teeth.onnx").stat().st_size < 6e6
    card = (ROOT / "runtime" / "models" / "teeth.md").read_text()
    assert "Dentalai" in card
    assert "CC BY 4.0" in card


def test_the_default_model_finds_teeth_in_the_example_and_none_in_plain_frames():
    plain = [np.full((480, 640, 3), value, np.uint8) for value in (0, 128, 255)]
    with segrt.open("teeth", backend="onnxruntime") as segment:
        for frame in frames(ROOT / "examples" / "scan.mp4", every=50).values():
            assert 0.2 < (segment(frame).mask == 1).mean() < 0.8
        for frame in plain:
            assert (segment(frame).mask == 1).mean() < 0.02


@pytest.mark.data
def test_the_default_model_reaches_the_iou_of_its_card(data_dir):
    confusion = Confusion(2)
    with segrt.open("teeth", backend="onnxruntime") as segment:
        for index, frame in frames(data_dir / "videos" / "scan.mp4", every=10).items():
            truth = cv2.imread(str(data_dir / "videos" / "scan_masks" / f"{index:04d}.png"), cv2.IMREAD_UNCHANGED)
            confusion.add(truth, segment(frame).mask)
    assert confusion.iou()[1] >= 0.93  # the card says 0.934
