from dataclasses import replace

import cv2
import numpy as np
import pytest

from segrt import ConfigError, DataError
from segrt.trainer.config import from_dict
from segrt.trainer.data import Folder, Sample, open_folder
from segrt.trainer.settings import DataConfig
from segrt.trainer.trust import divide, groups, open_data

CLASSES = ("ground", "disc")


@pytest.fixture
def train(discs) -> Folder:
    """Six samples with noisy masks beside: those of 0, 1 and 2 agree to 100, 90 and 0 percent."""
    folder = open_folder(discs / "train", CLASSES)
    (folder.path / "noisy").mkdir()
    for number, keep in enumerate((1.0, 0.9, 0.0)):
        ids = cv2.imread(str(folder.samples[number].mask), cv2.IMREAD_UNCHANGED)
        disc = np.flatnonzero(ids)
        ids.flat[disc[round(keep * len(disc)) :]] = 0
        cv2.imwrite(str(folder.path / "noisy" / f"{number}.png"), ids)
    return folder


def by_list(folder: Folder, names: str, noisy: str = "noisy", seed: int = 1) -> Folder:
    (folder.path / "trusted.txt").write_text(names)
    return divide(folder, DataConfig(trusted="list", noisy=noisy), seed)


def named(folder: Folder, count: int, pattern: str = "{}") -> Folder:
    """The first sample `count` times, under names that no file needs to have."""
    image = folder.samples[0].image
    return replace(
        folder, samples=tuple(Sample(image.with_name(pattern.format(n) + ".png"), image) for n in range(count))
    )


def names(samples: tuple[Sample, ...]) -> list[str]:
    return [sample.name for sample in samples]


def test_a_list_names_the_trusted_and_the_others_get_their_noisy_masks(train):
    divided = by_list(train, "3\n4\n\n 5 \n")
    assert (names(divided.trusted), names(divided.noisy)) == (["3", "4", "5"], ["0", "1", "2"])
    assert [sample.mask for sample in divided.noisy] == [train.path / "noisy" / f"{n}.png" for n in range(3)]
    assert [sample.truth for sample in divided.noisy] == [sample.mask for sample in train.samples[:3]]
    assert divided.trusted == train.samples[3:]


def test_without_noisy_masks_a_samples_own_mask_is_the_noisy_one(train):
    divided = by_list(train, "0", noisy="")
    assert all(sample.truth is None for sample in divided.noisy)
    assert [sample.mask for sample in divided.noisy] == [sample.mask for sample in train.samples[1:]]


def test_all_are_trusted_where_nothing_is_said(train):
    assert divide(train, DataConfig(noisy="noisy"), 1) == train


@pytest.mark.parametrize(("threshold", "noisy"), [(0.95, ["1", "2"]), (0.85, ["2"]), (1.0, ["1", "2"])])
def test_the_rule_takes_agreeing_annotations_for_right_and_those_never_drawn_again(train, threshold, noisy):
    divided = divide(train, DataConfig(trusted="rule", noisy="noisy", trusted_iou=threshold), 1)
    assert names(divided.noisy) == noisy
    assert all(sample.mask.parent.name == "masks" for sample in divided.trusted)


def test_the_rule_leaves_out_the_background(train):
    """A disc that loses a tenth covers 0.9 of itself; the ground around it would raise the mean to 0.98."""
    data = DataConfig(trusted="rule", noisy="noisy", trusted_iou=0.93)
    assert names(divide(train, data, 1, background=0).noisy) == ["1", "2"]
    assert names(divide(train, data, 1, background=-1).noisy) == ["2"]


def test_a_fraction_is_drawn_by_the_seed_and_grows_by_adding(train):
    many = named(train, 50)

    def trusted(fraction: float, seed: int = 1) -> set[str]:
        return set(names(divide(many, DataConfig(trusted="fraction", trusted_fraction=fraction), seed).trusted))

    assert [len(trusted(fraction)) for fraction in (0.1, 0.5, 0.8)] == [5, 25, 40]
    assert trusted(0.1) < trusted(0.5) < trusted(0.8)
    assert trusted(0.5) == trusted(0.5) != trusted(0.5, seed=2)


def test_a_subject_is_never_split_between_trusted_and_noisy(train):
    samples = tuple(
        Sample(train.path / f"person{person}_{frame}.png", train.path)
        for person in range(8)
        for frame in range(person + 1)
    )
    data = DataConfig(trusted="fraction", trusted_fraction=0.5, group=r"^(person\d+)_")
    divided = divide(replace(train, samples=samples), data, 1)
    trusted, noisy = ({sample.name.split("_")[0] for sample in part} for part in (divided.trusted, divided.noisy))
    assert not trusted & noisy
    assert 14 <= len(divided.trusted) <= 22


def test_a_pattern_without_a_group_is_the_subject_itself(train):
    assert groups(named(train, 3, "a{}"), DataConfig(group=r"\d")) == {"0": ["a0"], "1": ["a1"], "2": ["a2"]}


def test_each_sample_gets_one_of_several_annotators(train):
    for annotator, samples in (("ann", range(6)), ("bob", (0, 1, 2))):
        (train.path / "people" / annotator).mkdir(parents=True)
        for number in samples:
            cv2.imwrite(str(train.path / "people" / annotator / f"{number}.png"), np.zeros((40, 48), np.uint8))
    found = [by_list(train, "5", noisy="people/*", seed=seed) for seed in range(8)]
    used = {name: {folder.samples[int(name)].mask.parent.name for folder in found} for name in "01234"}
    assert used["0"] | used["1"] | used["2"] == {"ann", "bob"}
    assert used["3"] == used["4"] == {"ann"}
    assert found[0] == by_list(train, "5", noisy="people/*", seed=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"trusted": "list"}, r"trusted\.txt cannot be read; write one name per line"),
        ({"trusted": "list", "trusted_list": "unknown.txt"}, r"unknown\.txt: '9' is no sample of .*train; write names"),
        ({"trusted": "list", "trusted_list": "empty.txt", "noisy": ""}, r"train: none of 6 samples is trusted"),
        ({"trusted": "fraction", "trusted_fraction": 0.01, "noisy": ""}, r"none of 6 samples is trusted .*'fraction'"),
        ({"trusted": "fraction", "noisy": "absent"}, r"train/absent is no folder; data\.noisy names one with masks"),
        ({"trusted": "fraction", "noisy": "absent/*"}, r"absent/\* is no folder"),
        ({"trusted": "list", "trusted_list": "one.txt"}, r"3\.png has no noisy mask: expected .*noisy/3\.png; add it"),
        ({"trusted": "rule", "noisy": ""}, r"data\.trusted is 'rule', but no sample has a second mask"),
        ({"trusted": "rule", "noisy": "small"}, r"small/0\.png: the mask is 9x9, its image is 48x40"),
        ({"trusted": "fraction", "group": r"^(person\d+)"}, r"0\.png: data\.group .* finds no subject in the name '0'"),
    ],
)  # fmt: skip
def test_what_cannot_be_divided_is_named(train, data, message):
    for name, text in (("unknown", "0\n9"), ("empty", ""), ("one", "0")):
        (train.path / f"{name}.txt").write_text(text)
    (train.path / "small").mkdir()
    cv2.imwrite(str(train.path / "small" / "0.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match=message):
        divide(train, DataConfig(**{"noisy": "noisy", **data}), 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"group": "(", "trusted": "fraction"}, r"data\.group '\(' is no regular expression"),
        ({"trusted_fraction": 1.5, "trusted": "fraction"}, r"data\.trusted_fraction must be in 0\.\.1, found 1\.5"),
        ({"format": "zip"}, "data.format must be one of folder, voc, labelme, video, found 'zip'"),
        ({"val_fraction": 1.0}, r"data\.val_fraction must be 0 or a share below 1, found 1\.0"),
        (
            {"val_fraction": 0.3},
            r"discs/val exists, and data\.val_fraction is 0\.3; set that to 0, or name no such split",
        ),
    ],
)
def test_a_wrong_setting_is_named(discs, data, message):
    with pytest.raises(ConfigError, match=message):
        open_data(from_dict({"data": {"root": str(discs), "classes": CLASSES, **data}}))


def settings(train: Folder, **data: object) -> dict:
    return {"root": str(train.path.parent), "val": "none", "val_fraction": 0.34, "classes": CLASSES, **data}


def test_without_a_validation_split_some_subjects_are_taken_from_training(train):
    for path in (*(train.path / "images").iterdir(), *(train.path / "masks").iterdir()):
        path.rename(path.with_name(f"person{int(path.stem) // 2}_{path.name}"))
    found = [open_data(from_dict({"seed": n, "data": settings(train, group="^(person.)")})) for n in range(6)]
    for left, val in found:
        assert (len(left.samples), len(val.samples)) == (4, 2)
        assert not {name[:7] for name in names(left.samples)} & {name[:7] for name in names(val.samples)}
    assert len({val.samples for _, val in found}) > 1


def test_validation_labels_are_the_right_ones(train):
    (train.path / "trusted.txt").write_text("3\n4\n5")
    for seed in range(4):
        left, val = open_data(from_dict({"seed": seed, "data": settings(train, trusted="list", noisy="noisy")}))
        assert all(sample.trusted and sample.mask.parent.name == "masks" for sample in val.samples)
        unknown_truth = open_data(from_dict({"seed": seed, "data": settings(train, trusted="list")}))
        assert set(names(unknown_truth[1].samples)) < {"3", "4", "5"}
        assert len(left.samples) + len(val.samples) == 6


def test_one_subject_cannot_be_split(train):
    for path in (*(train.path / "images").iterdir(), *(train.path / "masks").iterdir()):
        path.rename(path.with_name(f"person_{path.name}"))
    with pytest.raises(
        DataError, match=r"6 samples, 1 subjects with right labels, cannot be split .* check data\.group"
    ):
        open_data(from_dict({"data": settings(train, group="^(person)")}))


def test_a_trusted_sample_keeps_what_the_noisy_annotator_gave_beside_its_label(train):
    divided = by_list(train, "0\n3\n4\n5\n")
    assert [sample.second for sample in divided.trusted] == [train.path / "noisy" / "0.png", None, None, None]
    assert [sample.second for sample in divided.noisy] == [None, None]


def test_where_nobody_knows_the_truth_a_noisy_sample_has_none(train):
    (train.path / "trusted.txt").write_text("3\n4\n5\n")
    divided = divide(train, DataConfig(trusted="list", noisy="noisy", truth_known=False), 1)
    assert [sample.truth for sample in divided.noisy] == [None] * 3
    assert [sample.mask.parent.name for sample in divided.noisy] == ["noisy"] * 3
