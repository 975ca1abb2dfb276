"""The model that `segrt run` takes by default must be good enough to show, and the same through every way in."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import segrt
from segrt.runtime.bundles.bundle import open_bundle
from segrt.runtime.model import find, shipped
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


def test_both_models_are_shipped():
    assert shipped() == ["teeth", "teeth-plus"]


@pytest.mark.parametrize(("name", "megabytes"), [("teeth", 14), ("teeth-plus", 20)])
def test_a_shipped_model_says_what_it_is(name, megabytes):
    with segrt.open(name, backend="onnxruntime") as segment:
        assert segment.spec.class_names == ("other", "tooth", "gum")
        assert segment.spec.name == name
    assert find(name).stat().st_size < megabytes * 1e6
    card = (ROOT / "runtime" / "models" / f"{name}.md").read_text()
    assert "Dentalai" in card
    assert "CC BY 4.0" in card


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_model_has_a_card_and_passed_its_gate_with_int8(name):
    assert find(name).with_suffix(".md").is_file()
    bundle = open_bundle(find(name))
    bundle.check()
    assert {"fp32", "int8"} <= set(bundle.graphs)
    assert not bundle.report.refusals
    assert bundle.pick("openvino", "cpu")[0] == bundle.pick("onnxruntime", "cpu")[0] == "int8"
    assert bundle.pick("openvino", "cpu", "fp32")[0] == "fp32"


def test_the_default_model_runs_where_no_file_can_be_written(nothing_writable):
    frame = frames(ROOT / "examples" / "scan.mp4", every=100)[100]
    with segrt.open("teeth", backend="openvino") as segment:
        expected = segment(frame).mask
    with nothing_writable(), segrt.open("teeth", backend="openvino") as segment:
        np.testing.assert_array_equal(segment(frame).mask, expected)


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_model_finds_teeth_and_gum_in_the_example_and_none_in_plain_frames(name):
    plain = [np.full((480, 640, 3), value, np.uint8) for value in (0, 128, 255)]
    with segrt.open(name, backend="onnxruntime") as segment:
        for frame in frames(ROOT / "examples" / "scan.mp4", every=50).values():
            mask = segment(frame).mask
            assert 0.2 < (mask == 1).mean() < 0.8
            assert 0.05 < (mask == 2).mean() < 0.6
        for frame in plain:
            assert (segment(frame).mask != 0).mean() <= 0.005


@pytest.mark.parametrize("name", shipped())
def test_int8_answers_without_vnni_as_with_it(name, tmp_path):
    """Weights of 8 bits overflow there: the masks of such a graph agreed on 92 % of the pixels."""
    masks = []
    for isa in ("DEFAULT", "AVX2"):
        out = tmp_path / isa
        environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": isa, "XDG_CACHE_HOME": str(tmp_path / f"cache-{isa}")}
        command = [
            sys.executable,
            "-m",
            "segrt",
            "run",
            "-q",
            "-m",
            name,
            "--video",
            str(ROOT / "examples" / "scan.mp4"),
        ]
        command += ["--backend", "openvino", "--precision", "int8", "--max-frames", "3", "--masks", str(out)]
        subprocess.run(command, check=True, env=environment)
        masks.append(np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(out.iterdir())]))
    assert (masks[0] == masks[1]).mean() > 0.999


@pytest.mark.data
@pytest.mark.parametrize("name", shipped())
def test_a_shipped_model_is_as_right_as_its_card_says(name, data_dir):
    clip, photos = Confusion(2), Confusion(3)
    with segrt.open(name, backend="onnxruntime") as segment:
        for index, frame in frames(data_dir / "videos" / "scan.mp4", every=10).items():
            truth = cv2.imread(str(data_dir / "videos" / "scan_masks" / f"{index:04d}.png"), cv2.IMREAD_UNCHANGED)
            clip.add(truth, (segment(frame).mask == 1).astype(np.uint8))
        for path in sorted((ROOT / "recipes" / "teeth" / "gum" / "val").glob("*.png"))[::4]:
            (photo,) = (data_dir / "dental" / "val" / "images").glob(f"{path.stem}.*")
            photos.add(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), segment(cv2.imread(str(photo))).mask)
    assert clip.iou()[1] >= 0.88
    tooth, gum = photos.iou()[1:]
    assert tooth >= 0.88
    assert gum >= 0.68  # of every fourth photo; all of them are in the card


@pytest.mark.data
@pytest.mark.parametrize("name", shipped())
def test_a_shipped_model_sees_no_teeth_in_the_street(name, data_dir):
    called = []
    with segrt.open(name, backend="onnxruntime") as segment:
        for path in sorted((data_dir / "camvid" / "val" / "images").iterdir())[::10]:
            called.append((segment(cv2.imread(str(path))).mask != 0).mean())
    assert np.mean(called) <= 0.005
