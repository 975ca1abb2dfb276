import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.trainer.judging import knows_discs, small, untrained

from segrt.cli import main
from segrt.trainer.checkpoint import save
from segrt.trainer.stages.judge import reference_figures


@pytest.fixture
def checkpoint(tiny, tmp_path, monkeypatch):
    """A file with all that a judge needs, which knows what a disc is."""
    monkeypatch.setattr("segrt.trainer.stages.revision.revised_logits", knows_discs)
    path = tmp_path / "model.safetensors"
    save(untrained(small(tiny)), path)
    return path


@pytest.fixture
def folder(discs):
    """Six samples, two of whose labels lack their disc or half of it."""
    train = discs / "train"
    for name, part in (("2", slice(0, 48)), ("4", slice(0, 24))):
        mask = cv2.imread(str(train / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        mask[:, part] = 0
        cv2.imwrite(str(train / "masks" / f"{name}.png"), mask)
    return train


def mask_of(folder, name):
    return cv2.imread(str(folder / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)


def table(out):
    with (out / "weights.csv").open(newline="") as file:
        return {line["name"]: line for line in csv.DictReader(file)}


def test_a_folder_of_labels_is_judged_and_mended(checkpoint, folder, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    assert main(["revise", str(checkpoint), "--data", str(folder), "-o", str(out)]) == 0
    told = capsys.readouterr()
    assert "6 labels judged" in told.out
    assert str(out / "report.html") in told.out
    assert {path.name for path in out.iterdir()} == {
        "masks", "flags", "pictures", "report.html", "weights.csv", "suspect.txt", "revised.jsonl",
    }  # fmt: skip
    lines = table(out)
    assert set(lines) == set("012345")
    assert sorted(lines, key=lambda name: -float(lines[name]["changed"]))[:2] == ["2", "4"]
    assert lines["2"]["largest_change"].endswith("% ground -> disc")
    assert lines["2"]["iou_given"] == ""
    disc = mask_of(out, "2") == 1
    assert 0.1 < disc.mean() < 0.2
    assert [json.loads(line)["name"] for line in (out / "revised.jsonl").read_text().splitlines()] == list("012345")
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before  # the data stays as it is


def test_trusted_labels_are_the_measure_and_not_judged(checkpoint, folder, tmp_path, capsys):
    (tmp_path / "right.txt").write_text("0\n1\n")
    out = tmp_path / "out"
    arguments = ["revise", str(checkpoint), "--data", str(folder), "--trusted", str(tmp_path / "right.txt")]
    assert main([*arguments, "-o", str(out)]) == 0
    assert set(table(out)) == set("2345")
    assert "the 2 of this folder in right.txt" in (out / "report.html").read_text()
    assert "note" not in capsys.readouterr().err
    assert main([*arguments, "--weight", "raw", "-o", str(tmp_path / "raw")]) == 0
    raw, weighed = table(tmp_path / "raw"), table(out)
    assert all(float(weighed[name]["weight"]) > float(raw[name]["weight"]) for name in raw)


def test_without_right_labels_the_checkpoint_s_own_are_the_measure(tiny, checkpoint, folder, tmp_path, capsys):
    from segrt.trainer.checkpoint import load
    from segrt.trainer.stages.judge import open_judge
    from segrt.trainer.stages.setup import set_up

    out = tmp_path / "without"
    assert main(["revise", str(checkpoint), "--data", str(folder), "-o", str(out)]) == 0
    assert "keeps no score of right labels" in capsys.readouterr().err
    assert "keeps no score of right labels" in (out / "report.html").read_text()
    start = load(checkpoint)
    judge = open_judge(set_up(start.config), start)
    right = [sample for sample in judge.setup.train.samples if sample.name not in "24"]
    save(replace(start, figures=reference_figures(judge, right)), checkpoint)
    assert main(["revise", str(checkpoint), "--data", str(folder), "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("\n") <= 1  # the progress bar's
    assert "the 4 trusted ones of the training data" in (tmp_path / "out" / "report.html").read_text()
    without, by_reference = table(out), table(tmp_path / "out")
    assert all(float(by_reference[name]["weight"]) > float(without[name]["weight"]) for name in without)


def test_labels_may_lie_elsewhere_and_be_of_some_pictures_alone(checkpoint, folder, tmp_path, capsys):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in "135":
        cv2.imwrite(str(theirs / f"{name}.png"), np.zeros((40, 48), np.uint8))
    (tmp_path / "right.txt").write_text("0\n1\n")  # 0 by the folder's own mask, 1 by theirs
    out = tmp_path / "out"
    arguments = ["--data", str(folder), "--masks", str(theirs), "--trusted", str(tmp_path / "right.txt")]
    assert main(["revise", str(checkpoint), *arguments, "--truth", str(folder / "masks"), "-o", str(out)]) == 0
    lines = table(out)
    assert set(lines) == {"3", "5"}
    assert all(float(line["iou_given"]) == 0.0 and float(line["iou_revised"]) > 0.8 for line in lines.values())
    assert "mean IoU with the truth 0.0000 before" in capsys.readouterr().out


def test_settings_of_the_checkpoint_can_be_changed(checkpoint, folder, tmp_path):
    for name, changes in (
        ("sure", ["--min-probability", "0.99"]),
        ("all", ["--set", "method.revise.min_probability=0"]),
    ):
        assert main(["revise", str(checkpoint), "--data", str(folder), "-o", str(tmp_path / name), *changes]) == 0
    unsure = [sum((mask_of(tmp_path / name, str(i)) == 255).sum() for i in range(6)) for name in ("sure", "all")]
    assert unsure[0] > 0
    assert unsure[1] == 0


def test_a_data_set_that_is_no_plain_folder_is_read_as_the_checkpoint_s_was_or_as_told(checkpoint, folder, tmp_path):
    discs = {path.stem: mask_of(folder, path.stem) for path in (folder / "images").iterdir()}
    theirs = tmp_path / "labelme"
    theirs.mkdir()
    for name, mask in discs.items():
        (theirs / f"{name}.png").write_bytes((folder / "images" / f"{name}.png").read_bytes())
        shapes = [
            {"label": "Disc", "points": contour[:, 0].tolist()}
            for contour in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        ]
        (theirs / f"{name}.json").write_text(json.dumps({"shapes": shapes}))
    (tmp_path / "right.txt").write_text("0\n")
    labels = ["--set", "data.labels=['Disc=disc', '*=ground']", "--trusted", str(tmp_path / "right.txt")]
    told, kept = tmp_path / "told", tmp_path / "kept"
    arguments = ["--data", str(theirs), "--truth", str(folder / "masks"), *labels]
    assert main(["revise", str(checkpoint), *arguments, "--format", "labelme", "-o", str(told)]) == 0
    assert set(table(told)) == set("12345")
    assert 0.1 < (mask_of(told, "2") == 1).mean() < 0.2  # its disc was found, though no shape shows it
    assert table(told)["3"]["iou_given"] != ""
    assert main(["revise", str(checkpoint), *arguments, "--set", "data.format=labelme", "-o", str(kept)]) == 0
    assert (kept / "weights.csv").read_bytes() == (told / "weights.csv").read_bytes()


def damaged(folder):
    cv2.imwrite(str(folder / "masks" / "3.png"), np.full((40, 48), 7, np.uint8))


def too_small(folder):
    cv2.imwrite(str(folder / "masks" / "3.png"), np.zeros((20, 48), np.uint8))


def missing(folder):
    (folder / "masks" / "3.png").unlink()


@pytest.mark.parametrize(
    ("change", "breaks", "message"),
    [
        ([], damaged, "unknown class id 7"),
        ([], too_small, "make them equal"),
        ([], missing, "has no mask"),
        (["--trusted", "nowhere.txt"], None, "cannot be read"),
        (["--trusted", "everything.txt"], None, "none is left to judge"),
        (["--trusted", "unknown.txt"], None, "'moon' is no sample"),
        (["--masks", "nowhere"], None, "is no folder"),
        (["--format", "coco"], None, "data.format must be one of folder, voc, labelme, video, found 'coco'"),
        (["--format", "labelme"], None, "holds no .jpg or"),
        (["--truth", "nowhere"], None, "is no folder"),
        (["--min-probability", "2"], None, "method.revise.min_probability must be in 0..1"),
        (["--set", "method.revise.colour=1"], None, "unknown key 'method.revise.colour'"),
        (["--set", "network.width=8"], None, "of another architecture"),
        (["--set", "method.discriminator.channels=[8, 8]"], None, "of another architecture"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    checkpoint, folder, tmp_path, monkeypatch, capsys, change, breaks, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "everything.txt").write_text("\n".join("012345"))
    (tmp_path / "unknown.txt").write_text("0\nmoon\n")
    before = set(tmp_path.iterdir())
    if breaks:
        breaks(folder)
    assert main(["revise", str(checkpoint), "--data", str(folder), "-o", "out", *change]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("left_out", "stage"), [("corrector", "correct"), ("discriminator", "discriminate")])
def test_a_checkpoint_without_judges_names_the_stage_to_run(tiny, folder, tmp_path, capsys, left_out, stage):
    path = tmp_path / "model.safetensors"
    save(untrained(small(tiny), left_out), path)
    assert main(["revise", str(path), "--data", str(folder), "-o", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert f"has no {left_out}; run stage '{stage}'" in error
    assert str(path) in error


def test_an_existing_result_is_not_touched(checkpoint, folder, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert main(["revise", str(checkpoint), "--data", str(folder), "-o", str(out)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_whatever_happens_in_the_middle_nothing_half_written_stays(checkpoint, folder, tmp_path, monkeypatch, error):
    from segrt.trainer.review import folder as review

    calls = []

    def breaks(picture):
        calls.append(picture)
        if len(calls) == 6:
            raise error
        return real(picture)

    real = review.jpeg
    monkeypatch.setattr(review, "jpeg", breaks)
    before = set(tmp_path.iterdir())
    assert main(["revise", str(checkpoint), "--data", str(folder), "-o", str(tmp_path / "out")]) in (1, 130)
    assert len(calls) == 6
    assert set(tmp_path.iterdir()) == before
