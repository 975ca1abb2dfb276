import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.tiny import CLASSES, colour_net, stripe_classes, stripes

from segrt.cli import main


@pytest.fixture
def bands(tmp_path):
    """A model and four pictures for it, of which 1 and 3 have masks that are not what the model says."""
    model = colour_net(tmp_path / "colours.onnx")
    for name in ("images", "masks"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for index in range(4):
        mask = stripe_classes(64, 96).astype(np.uint8)
        if index % 2:
            mask[: 16 * index] = 1
        cv2.imwrite(str(tmp_path / "set" / "images" / f"{index}.png"), stripes(64, 96))
        cv2.imwrite(str(tmp_path / "set" / "masks" / f"{index}.png"), mask)
    return [str(model), "--data", str(tmp_path / "set")]


def test_everything_is_written_and_agrees(bands, tmp_path, capsys):
    out, path = tmp_path / "new" / "out", tmp_path / "found.json"
    assert main(["evaluate", *bands, "--out", str(out), "--json", str(path), "--worst", "2"]) == 0
    printed = capsys.readouterr().out
    assert "boundary F" in printed
    assert [line.split()[-1] for line in printed.splitlines() if line.startswith("mean IoU")] == ["3.png", "1.png"]
    found = json.loads(path.read_text())
    assert (found["model"], found["data"].split("/")[1], found["pictures"]) == ("colours.onnx", "set", 4)
    assert found["pixels"] == np.sum(found["confusion"]) == 4 * 64 * 96
    assert list(found["iou"]) == list(found["boundary_f"]) == list(CLASSES)
    assert found["mean_iou"] == pytest.approx(np.mean(list(found["iou"].values())))
    assert 0.3 < found["mean_boundary_f"] < 0.9
    assert found["boundary_tolerance"] == {"share_of_diagonal": 0.0075}
    assert {path.name for path in out.iterdir()} == {"images.csv", "sheet.png", "worst_01_3.png", "worst_02_1.png"}
    assert all(cv2.imread(str(picture)) is not None for picture in out.glob("*.png"))
    rows = list(csv.DictReader((out / "images.csv").read_text().splitlines()))
    for row, image in zip(rows, found["images"], strict=True):
        assert row["name"] == image["name"]
        assert float(row["mean_iou"]) == pytest.approx(image["mean_iou"], abs=1e-4)
        assert float(row["boundary_f red"]) == pytest.approx(image["boundary_f"]["red"], abs=1e-4)


def test_a_class_that_never_occurs_has_no_figures(bands, tmp_path, capsys):
    for mask in (tmp_path / "set" / "masks").iterdir():
        cv2.imwrite(str(mask), np.where(stripe_classes(64, 96) == 3, 255, stripe_classes(64, 96)).astype(np.uint8))
    assert main(["evaluate", *bands, "--out", str(tmp_path / "out"), "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["iou"]["blue"] is found["boundary_f"]["blue"] is None
    assert found["pixels"] == 4 * 64 * 72
    assert "nan" not in capsys.readouterr().out
    row = next(csv.DictReader((tmp_path / "out" / "images.csv").read_text().splitlines()))
    assert row["iou blue"] == row["boundary_f blue"] == ""


def test_a_wider_tolerance_never_lowers_boundary_f(bands, tmp_path):
    scores = []
    for pixels in ("0", "3", "40"):
        assert main(["evaluate", *bands, "--json", str(tmp_path / "found.json"), "--boundary-px", pixels]) == 0
        found = json.loads((tmp_path / "found.json").read_text())
        assert found["boundary_tolerance"] == {"px": float(pixels)}
        scores.append(found["mean_boundary_f"])
    assert scores == sorted(scores)
    assert scores[0] < scores[2]


def test_pictures_of_an_earlier_run_do_not_stay_and_others_do(bands, tmp_path):
    out = tmp_path / "out"
    assert main(["evaluate", *bands, "--out", str(out), "--worst", "4"]) == 0
    (out / "notes.png").write_bytes(b"mine")
    assert len(list(out.glob("worst_*"))) == 4
    assert main(["evaluate", *bands, "--out", str(out), "--worst", "1"]) == 0
    assert {path.name for path in out.iterdir()} == {"images.csv", "sheet.png", "worst_01_3.png", "notes.png"}
    assert main(["evaluate", *bands, "--out", str(out), "--worst", "0"]) == 0
    assert {path.name for path in out.iterdir()} == {"images.csv", "notes.png"}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--out", "colours.onnx", "cannot write"),
        ("--json", "set", "it is a folder"),
        ("--json", "colours.onnx", "it is the input"),
        ("--json", "nowhere/found.json", "does not exist"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    bands, tmp_path, capsys, monkeypatch, option, value, message
):
    monkeypatch.setattr("segrt.trainer.evaluate.evaluate", lambda *_: pytest.fail("it was measured"))
    assert main(["evaluate", *bands, option, str(tmp_path / value)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--worst", "-1"], ["--boundary-px", "nan"], ["--boundary-px", "1e9"]])
def test_numbers_out_of_range_are_wrong_usage(bands, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *bands, *arguments])
    assert caught.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_nothing_half_written_stays_when_the_disk_is_full(bands, tmp_path, capsys, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["evaluate", *bands, "--out", str(tmp_path / "out")]) == 1
    assert "the disk is full" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
