from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from segrt import ConfigError, DataError, ModelError
from segrt.trainer.check import check, contact_sheet, distinct, survey
from segrt.trainer.checkpoint import Checkpoint, save, spec_of
from segrt.trainer.config import Config, NetworkConfig, with_overrides
from segrt.trainer.networks import build_network
from segrt.trainer.trust import open_data

METHOD = ("segment", "correct", "discriminate", "adversarial", "revise", "finetune")


@pytest.fixture
def noisy(discs: Path, tiny: Config) -> Config:
    """Samples 0..3 noisy: of each disc the lower half is gone."""
    (discs / "train" / "noisy").mkdir()
    for number in range(4):
        ids = cv2.imread(str(discs / "train" / "masks" / f"{number}.png"), cv2.IMREAD_UNCHANGED)
        rows = np.flatnonzero(ids.any(axis=1))
        ids[int(rows.mean()) :] = 0
        cv2.imwrite(str(discs / "train" / "noisy" / f"{number}.png"), ids)
    (discs / "train" / "trusted.txt").write_text("4\n5\n")
    return replace(tiny, data=replace(tiny.data, trusted="list", noisy="noisy"))


def printed(config: Config, out: Path, start: Path | None = None) -> str:
    console = Console(record=True, width=200, file=(out.parent / "printed").open("w"))
    check(config, out, start, console)
    console.file.close()
    return console.export_text()


def test_it_tells_shares_counts_and_how_wrong_the_noisy_labels_are(noisy, tmp_path):
    out = tmp_path / "new" / "run"
    out.parent.mkdir()
    text = printed(noisy, out)
    assert "train: 6 samples, 2 trusted and 4 noisy; 0.00% of the pixels are ignored" in text
    assert "val: 2 samples;" in text
    assert "mean IoU 0.5" in text or "mean IoU 0.4" in text
    assert [path.name for path in out.iterdir()] == ["check.png"]


def test_a_survey_counts_by_hand(noisy):
    found = survey(open_data(noisy)[0], background=0)
    masks = [cv2.imread(str(sample.mask), cv2.IMREAD_UNCHANGED) for sample in found.folder.samples]
    assert found.pixels.tolist() == [sum(int((mask == c).sum()) for mask in masks) for c in (0, 1)]
    assert (found.images.tolist(), found.ignored) == ([6, 6], 0)
    assert sorted(found.iou) == ["0", "1", "2", "3"]
    for sample in found.folder.noisy:
        truth = cv2.imread(str(sample.truth), cv2.IMREAD_UNCHANGED)
        share = (masks[int(sample.name)] == 1).sum() / (truth == 1).sum()  # nothing was added to the disc
        assert found.iou[sample.name] == pytest.approx(share)


def test_a_class_that_nobody_drew_is_pointed_out(tiny, tmp_path):
    config = replace(tiny, data=replace(tiny.data, classes=("ground", "disc", "ring")))
    assert "note: no training label holds 'ring'" in printed(config, tmp_path / "out")


def test_the_sheet_frames_trusted_samples_green_and_noisy_ones_orange(noisy, tiny):
    def frames(config: Config) -> set[str]:
        picture = contact_sheet(survey(open_data(config)[0], 0), config).astype(int)
        colours = {"green": (90, 190, 60), "orange": (40, 140, 255)}
        return {name for name, colour in colours.items() if (picture == colour).all(axis=2).sum() > 100}

    assert frames(noisy) == {"green", "orange"}
    assert frames(tiny) == {"green"}


def test_every_class_of_a_sheet_has_a_colour_of_its_own(tiny):
    names = tuple(f"class {n}" for n in range(21))
    spec = distinct(spec_of(replace(tiny, data=replace(tiny.data, classes=names))), background=-1)
    assert (len(set(spec.palette)), spec.hidden) == (21, ())
    assert distinct(spec_of(tiny), background=0) == spec_of(tiny)


def spoil(config: Config, how: str, folder: Path) -> tuple[Config, Path | None]:
    start = None
    if how == "data":
        (Path(config.data.root) / "val" / "masks" / "1.png").unlink()
    elif how == "no noisy":
        (Path(config.data.root) / "train" / "trusted.txt").write_text("\n".join("012345"))
        config = replace(config, stages=METHOD)
    elif how == "order":
        config = replace(config, stages=("segment", "finetune"))
    elif how == "scales":
        config = replace(config, stages=METHOD)
    elif how == "network":
        config = replace(config, network=NetworkConfig(name="transformer"))
    elif how == "crop":
        config = replace(config, supervised=replace(config.supervised, crop_hw=(33, 32)))
    elif how == "size":
        config = replace(config, input=replace(config.input, size_hw=(32, 35)))
    elif how == "checkpoint":
        start = folder / "other.safetensors"
        wide = replace(config, network=replace(config.network, width=8))
        state = build_network(wide.network, 2).state_dict()
        save(Checkpoint(wide, "supervised", 0, {"network": state}), start)
    elif how == "no checkpoint":
        start = folder / "absent.safetensors"
    return config, start


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("data", DataError, r"val/images/1\.png has no mask"),
        ("no noisy", DataError, r"train: stage 'discriminate' learns from noisy samples, and all 6 are trusted"),
        ("order", ConfigError, "'finetune' starts from what 'revise' leaves; put 'revise' before it in stages"),
        ("size", ConfigError, r"needs sizes that are multiples of 2, found \(32, 35\)"),
        ("scales", ConfigError, r"method\.dual\.scales is 4, but the image network has 1 decoder scales"),
        ("network", ConfigError, "network.name 'transformer' is unknown; known are unet"),
        ("crop", ConfigError, r"needs sizes that are multiples of 2, found \(33, 32\)"),
        ("checkpoint", ModelError, r"other\.safetensors is of another architecture than the settings say"),
        ("no checkpoint", ModelError, r"absent\.safetensors cannot be read"),
    ],
)
def test_what_would_stop_training_is_named_and_nothing_is_written(noisy, tmp_path, how, error, message):
    config, start = spoil(noisy, how, tmp_path)
    with pytest.raises(error, match=message):
        check(config, tmp_path / "out", start, Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_a_control_that_learns_from_trusted_samples_alone_needs_no_noisy_ones(tiny, tmp_path):
    config = with_overrides(tiny, ["stages=['segment', 'finetune']", "method.finetune.target=none"])
    assert "train: 6 samples, 6 trusted and 0 noisy" in printed(config, tmp_path / "out")
