from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tests.trainer.judging import knows_discs, small, untrained

from segrt import ModelError
from segrt.trainer.data import open_folder
from segrt.trainer.stages import revise as stage
from segrt.trainer.stages.judge import KINDS, calibrate_on_trusted, doubted, open_judge, reference_of, soft_minimum
from segrt.trainer.stages.revise import read_records, run
from segrt.trainer.stages.setup import set_up


@pytest.fixture
def noisy(tiny, discs, monkeypatch):
    """`tiny` with two trusted samples, and four whose label lacks the disc's upper half, by networks that know it."""
    (discs / "train" / "trusted.txt").write_text("0\n1\n")
    (discs / "train" / "noisy").mkdir()
    for path in sorted((discs / "train" / "masks").iterdir())[2:]:
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask[: int(np.nonzero(mask.any(axis=1))[0].mean())] = 0
        mask[:, :3] = 255
        cv2.imwrite(str(discs / "train" / "noisy" / path.name), mask)
    monkeypatch.setattr("segrt.trainer.stages.revision.revised_logits", knows_discs)
    return small(replace(tiny, data=replace(tiny.data, trusted="list", noisy="noisy")))


def mask_of(out, name, folder="masks"):
    return cv2.imread(str(out / folder / f"{name}.png"), cv2.IMREAD_UNCHANGED)


def with_revise(config, **changes):
    return replace(config, method=replace(config.method, revise=replace(config.method.revise, **changes)))


def test_labels_come_nearer_to_the_truth_and_everything_is_written(noisy, discs, tmp_path):
    out = tmp_path / "out"
    records = run(noisy, out, untrained(noisy))
    assert [record.name for record in records] == ["2", "3", "4", "5"]
    for record in records:
        assert record.iou_given < 0.7
        assert record.iou_revised > 0.8
        assert 0.01 < record.changed < 0.2
        assert record.kept == pytest.approx(record.iou_given, abs=0.12)  # what is missing in it was put back
        label = mask_of(discs / "train", record.name, "noisy")
        revised = mask_of(out, record.name)
        assert ((revised == 255) >= (label == 255)).all()  # what was unknown stays so
        truth = mask_of(discs / "train", record.name)
        sure = revised != 255
        assert (revised == truth)[sure].mean() > 0.97
    assert read_records(out) == {record.name: record for record in records}
    assert {path.name for path in out.iterdir()} == {
        "masks", "flags", "pictures", "report.html", "weights.csv", "suspect.txt", "revised.jsonl",
    }  # fmt: skip
    assert len(list((out / "pictures").iterdir())) == 4 * 4


def test_pixels_below_the_least_probability_become_unknown_and_no_others(noisy, tmp_path):
    start = untrained(noisy)
    run(with_revise(noisy, min_probability=0.0), tmp_path / "all", start)
    run(with_revise(noisy, min_probability=0.99), tmp_path / "sure", start)
    for name in "2345":
        everything, sure = mask_of(tmp_path / "all", name), mask_of(tmp_path / "sure", name)
        assert (everything[:, 3:] != 255).all()
        assert 0 < (sure == 255).mean() < 0.9
        assert (everything == sure)[sure != 255].all()
    whole, part = (read_records(tmp_path / which) for which in ("all", "sure"))
    assert whole == part  # measured before anything is left out


def test_a_weight_is_the_score_as_a_share_of_what_half_of_the_right_labels_have(noisy, tmp_path):
    start = untrained(noisy)
    raw = run(with_revise(noisy, weight="raw"), tmp_path / "raw", start)
    by_median = run(noisy, tmp_path / "median", start)
    judge = open_judge(set_up(noisy), start)
    reference = calibrate_on_trusted(judge, judge.setup.train.trusted)
    assert reference.samples == 2
    for one, other in zip(raw, by_median, strict=True):
        assert one.weight == one.score == other.score
        assert other.weight == pytest.approx(min(1.0, one.score / reference.score))


def test_without_a_reference_weights_are_scores_and_nothing_is_flagged(noisy, discs, tmp_path):
    judge = open_judge(set_up(noisy), untrained(noisy))
    records = stage.revise(judge, None, judge.setup.train.noisy, tmp_path, ["x"])
    assert all(record.weight == record.score and 0 < record.score < 1 for record in records)
    assert all(not mask_of(tmp_path, record.name, "flags").any() for record in records)


@pytest.mark.parametrize("left_out", ["corrector", "discriminator"])
def test_a_checkpoint_that_cannot_judge_is_refused_before_the_data_is_read(noisy, tmp_path, left_out):
    elsewhere = replace(noisy, data=replace(noisy.data, root=str(tmp_path / "nowhere")))
    with pytest.raises(ModelError, match=f"{left_out}; run stage '(correct|discriminate)' first"):
        run(elsewhere, tmp_path / "out", untrained(noisy, left_out))
    assert not (tmp_path / "out").exists()


def test_where_records_are_everything_is(noisy, tmp_path):
    def stops(samples):
        for sample in samples:
            yield sample
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(noisy, tmp_path, untrained(noisy), stops)
    assert (tmp_path / "masks" / "2.png").exists()
    assert read_records(tmp_path) == {}


def test_a_checkpoint_keeps_what_right_labels_score_for_other_folders(noisy):
    from segrt.trainer.stages.judge import reference_figures

    start = untrained(noisy)
    judge = open_judge(set_up(noisy), start)
    trusted = judge.setup.train.trusted
    kept = replace(start, figures=reference_figures(judge, trusted))
    for kind in KINDS:
        config = with_revise(noisy, score=kind)
        measured = calibrate_on_trusted(open_judge(set_up(config), start), trusted)
        found = reference_of(kept, kind)
        assert found.score == pytest.approx(measured.score)
        assert torch.allclose(found.thresholds, measured.thresholds)
        assert found.samples == 2
    assert reference_of(start, "both") is None


def test_doubted_is_where_another_class_is_as_sure_as_it_is_when_right():
    seen = torch.tensor([[0.9, 0.6, 0.2], [0.1, 0.4, 0.8]]).view(1, 2, 1, 3)
    thresholds = torch.tensor([0.8, 0.7])
    ids = torch.tensor([[1, 1, 1]])
    assert doubted(seen, ids, thresholds).tolist() == [[1, 0, 0]]  # says 0 surely; unsure; agrees
    assert doubted(seen, torch.full((1, 3), 255), thresholds).tolist() == [[0, 0, 0]]


def test_a_class_that_no_right_label_has_is_never_a_reason_to_doubt(noisy, discs):
    config = replace(noisy, data=replace(noisy.data, classes=("ground", "disc", "moon")))
    judge = open_judge(set_up(config), untrained(config))
    judge.look = lambda fitted: (torch.full((1, 3, 32, 32), 1 / 3), torch.zeros(1, 3, 32, 32))
    folder = open_folder(discs / "train", config.data.classes)
    thresholds = calibrate_on_trusted(judge, folder.samples).thresholds
    seen = torch.tensor([0.3, 0.2, 0.5]).view(1, 3, 1, 1)
    assert doubted(seen, torch.tensor([[1]]), thresholds).tolist() == [[0]]


def test_one_wrong_region_pulls_a_soft_minimum_down_more_than_a_mean():
    values = torch.full((1, 10, 10), 0.9)
    known = torch.ones(1, 10, 10, dtype=torch.bool)
    assert soft_minimum(values, known) == pytest.approx(0.9)
    values[:, :2] = 0.1
    assert soft_minimum(values, known) < 0.15
    assert soft_minimum(values, known & (values > 0.5)) == pytest.approx(0.9)
    assert soft_minimum(values, ~known) == 0.0
