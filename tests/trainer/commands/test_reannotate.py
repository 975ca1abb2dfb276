import json

import cv2
import numpy as np
import pytest

from segrt.cli import main
from segrt.trainer.noise import folder

CLASSES = "ground,house,bush"


@pytest.fixture
def street(tmp_path):
    """Twelve pictures of two videos."""
    for name in ("images", "masks"):
        (tmp_path / "street" / name).mkdir(parents=True)
    for index in range(12):
        rng = np.random.default_rng(index)
        mask = np.zeros((96, 128), np.uint8)
        x, y = (int(v) for v in rng.integers(30, 60, 2))
        cv2.rectangle(mask, (x - 20, y - 20), (x + 20, y + 20), 1, -1)
        cv2.circle(mask, (x + 40, y), 15, 2, -1)
        mask[:5] = 255
        image = np.array([(200, 180, 160), (60, 90, 160), (60, 120, 60)], np.uint8)[np.minimum(mask, 2)]
        name = f"{'ab'[index // 4 > 0]}_{index:02}"
        cv2.imwrite(str(tmp_path / "street" / "images" / f"{name}.jpg"), image)
        cv2.imwrite(str(tmp_path / "street" / "masks" / f"{name}.png"), mask)
    return tmp_path / "street"


def masks_of(root):
    return {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((root / "masks").iterdir())}


def test_a_share_is_drawn_again_and_everything_is_told(street, tmp_path, capsys):
    out = tmp_path / "deep" / "noisy"
    arguments = ["reannotate", str(street), "-o", str(out), "--classes", CLASSES, "--share", "0.5"]
    assert main([*arguments, "--mean-iou", "0.85"]) == 0
    assert "6 of 12 samples are noisy" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        "masks", "noisy.txt", "trusted.txt", "log.jsonl", "summary.json", "sheet.png",
    }  # fmt: skip
    before, after = masks_of(street), masks_of(out)
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed == set((out / "noisy.txt").read_text().split())
    assert set(before) - changed == set((out / "trusted.txt").read_text().split())
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert {line["name"] for line in lines if line["noisy"]} == changed
    assert set(next(line for line in lines if line["noisy"])["iou_by_class"]) <= {"house", "bush"}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["drawn_again"] == 6
    assert summary["mean_iou"] == pytest.approx(0.85, abs=0.06)
    assert summary["settings"]["mean_iou"] == 0.85
    sheet = cv2.imread(str(out / "sheet.png"))
    assert sheet.shape[0] > 6 * 96
    assert sheet.std() > 20


def test_who_wants_more_noise_than_the_settings_can_make_is_told(street, tmp_path, capsys):
    arguments = ["reannotate", str(street), "-o", str(tmp_path / "out"), "--classes", CLASSES, "--mean-iou", "0.5"]
    assert main([*arguments, "--share", "1"]) == 0
    assert "add errors to the recipe" in capsys.readouterr().out


def test_what_comes_out_right_is_trusted_with_its_own_mask(street, tmp_path):
    recipe = tmp_path / "careful.toml"
    recipe.write_text(
        '[data]\nclasses = ["ground", "house", "bush"]\n[noise]\nmean_iou = 0.87\nlowest = 0.85\nhighest = 0.89'
    )
    assert main(["reannotate", str(street), "-o", str(tmp_path / "out"), "--recipe", str(recipe), "--share", "1"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert all(line["noisy"] == (line["iou"] < 0.89) for line in lines)


def test_the_seed_decides_masks_and_choice(street, tmp_path):
    def drawn(name, seed):
        arguments = ["reannotate", str(street), "-o", str(tmp_path / name), "--classes", CLASSES, "--seed", seed]
        assert main([*arguments, "--copy-images"]) == 0
        return masks_of(tmp_path / name)

    first, again, other = drawn("first", "3"), drawn("again", "3"), drawn("other", "4")
    assert all((first[name] == again[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)
    assert len(list((tmp_path / "first" / "images").iterdir())) == 12
    assert main(["reannotate", str(tmp_path / "first"), "-o", str(tmp_path / "twice"), "--classes", CLASSES]) == 0


def test_a_video_is_drawn_again_as_a_whole_by_one_person(street, tmp_path):
    out = tmp_path / "out"
    arguments = ["reannotate", str(street), "-o", str(out), "--classes", CLASSES, "--group", "^(.)_"]
    assert main([*arguments, "--share", "0.33", "--mean-iou", "0.6"]) == 0
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines() if json.loads(line)["again"]]
    assert {line["group"] for line in lines} == {"a"}
    assert len(lines) == 4
    assert len({line["annotator"] for line in lines}) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--share", "0"], "the share must be above 0"),
        (["--share", "0.01"], "raise it"),
        (["--group", "^._"], "needs parentheses"),
        (["--group", "("], "no regular expression"),
        (["--group", "^(z)_"], "belongs to no group"),
        (["--mean-iou", "0.99"], "mean_iou must lie between"),
        (["--background", "7"], "classes 0..2"),
        (["--seed", "-1"], "--seed must be 0 or more"),
        (["--classes", "ground,house"], "unknown class id 2"),
        (["--classes", "ground,ground"], "two different names"),
        (["--set", "noise.miss=0.5"], "--set needs a --recipe"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(street, tmp_path, capsys, change, message):
    arguments = ["reannotate", str(street), "-o", str(tmp_path / "out"), "--classes", CLASSES, *change]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["street"]


def test_an_existing_result_is_not_touched(street, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    arguments = ["reannotate", str(street), "-o", str(out), "--classes", CLASSES]
    (out / "mine.txt").write_text("mine")
    assert main(arguments) == 1
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    (out / "mine.txt").unlink()
    assert main(arguments) == 0  # an empty folder is as good as none


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_whatever_happens_in_the_middle_nothing_half_written_stays(street, tmp_path, monkeypatch, error):
    calls = []

    def breaks(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise error
        return real(*arguments)

    real = folder.calibrated
    monkeypatch.setattr(folder, "calibrated", breaks)
    arguments = ["reannotate", str(street), "-o", str(tmp_path / "out"), "--classes", CLASSES, "--share", "1"]
    assert main(arguments) in (1, 130)
    assert len(calls) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["street"]
