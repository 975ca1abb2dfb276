import json

import numpy as np
import pytest
import torch

from segrt.trainer import report as module
from segrt.trainer.report import EVERY, Report


def lines(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def run(out, config, first, total, stop=None):
    """Steps whose loss is their number."""
    with Report(out, config, "segment", first, total) as report:
        for done in range(first + 1, (stop or total) + 1):
            report.step(done, {"loss": torch.tensor(float(done)), "bce": torch.tensor(1.0)}, 0.5, 0.0)


def test_every_so_many_iterations_and_in_the_end_the_mean_since_the_last_line_is_noted(tiny, tmp_path):
    run(tmp_path, tiny, 0, EVERY + 3)
    found = lines(tmp_path)
    assert [line["iteration"] for line in found] == [EVERY, EVERY + 3]
    assert [line["loss"] for line in found] == [(EVERY + 1) / 2, EVERY + 2]
    assert [(line["bce"], line["learning_rate"]) for line in found] == [(1.0, 0.5)] * 2
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_speed_and_waiting_are_those_since_the_last_line(tiny, tmp_path, monkeypatch):
    now = iter([0.0, 10.0, 10.0, 14.0, 14.0])
    monkeypatch.setattr(module, "EVERY", 2)
    with Report(tmp_path, tiny, "segment", 0, 4) as report:
        monkeypatch.setattr(module.time, "perf_counter", lambda: next(now))
        report._start_window()
        for done, waited_s in ((1, 2.0), (2, 0.5), (3, 1.0), (4, 0.0)):
            report.step(done, {"loss": torch.tensor(0.0)}, 0.1, waited_s)
        monkeypatch.undo()
    batch = tiny.supervised.batch
    assert [line["images_per_s"] for line in lines(tmp_path)] == [2 * batch / 10, 2 * batch / 4]
    assert [line["waiting_share"] for line in lines(tmp_path)] == [0.25, 0.25]


def test_a_step_gives_back_each_loss_of_the_whole_batch(tiny, tmp_path):
    with Report(tmp_path, tiny, "segment", 0, 100) as report:
        assert report.step(1, {"loss": torch.tensor(0.25), "accuracy": torch.tensor(1.0)}, 0.1, 0.0) == {
            "loss": 0.25,
            "accuracy": 1.0,
        }
    assert lines(tmp_path) == []  # it is not yet time for a line


def test_a_resumed_log_leaves_out_what_was_noted_after_the_checkpoint_and_a_line_cut_short(tiny, tmp_path):
    run(tmp_path, tiny, 0, 10 * EVERY, stop=3 * EVERY)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"iteration": 6')
    run(tmp_path, tiny, 2 * EVERY, 10 * EVERY, stop=4 * EVERY)
    assert [line["iteration"] for line in lines(tmp_path)] == [n * EVERY for n in (1, 2, 3, 4)]
    run(tmp_path, tiny, 0, EVERY)  # a run from the start begins a new log
    assert [line["iteration"] for line in lines(tmp_path)] == [EVERY]
    assert not list(tmp_path.glob(".*"))


def test_an_evaluation_is_named_by_class_and_leaves_out_what_never_occurs_from_its_mean(tiny, tmp_path, capsys):
    with Report(tmp_path, tiny, "segment", 0, 100) as report:
        found = report.evaluation(7, np.array([0.5, np.nan]))
    assert found["val_iou/ground"] == found["val_iou/mean"] == 0.5
    assert np.isnan(found["val_iou/disc"])
    assert lines(tmp_path)[0]["val_iou/mean"] == 0.5
    assert "segment iteration 7: val_iou/ground 0.5000" in capsys.readouterr().err.replace("\n", " ")


def test_pictures_show_crops_their_labels_and_the_answer_below_one_another(tiny, tmp_path, monkeypatch):
    images = torch.full((5, 3, 8, 8), 255, dtype=torch.uint8)
    masks = torch.zeros(5, 8, 8, dtype=torch.uint8)
    masks[:, :, 4:] = 1
    masks[:, 0] = 255
    logits = torch.zeros(5, 2, 4, 4)  # coarser than the labels
    logits[:, 1] = 1.0
    shown = []
    with Report(tmp_path, tiny, "segment", 0, 100) as report:
        monkeypatch.setattr(report.writer, "add_image", lambda *given: shown.append(given))
        report.pictures(3, images, masks, logits)
    ((name, grid, done),) = shown
    assert (name, done) == ("samples", 3)
    assert grid.shape == (3, 3 * 8, 4 * 8)  # four of the five
    assert (grid[:, :8] == 1).all()
    label, answer = grid[0, 8:16, :8], grid[0, 16:, :8]
    assert label[0].tolist() == [0.75] * 8  # unknown: grey
    assert label[1].tolist() == [0.5] * 4 + [1.0] * 4
    assert (answer == 1).all()


@pytest.mark.parametrize("call", ["step", "figures", "pictures"])
def test_of_several_processes_only_the_first_writes(tiny, tmp_path, monkeypatch, call):
    monkeypatch.setattr(module.distributed, "is_first", lambda: False)
    with Report(tmp_path / "out", tiny, "segment", 0, 1) as report:
        if call == "step":
            assert report.step(1, {"loss": torch.tensor(2.0)}, 0.1, 0.0) == {"loss": 2.0}  # all of them need the sums
        elif call == "figures":
            report.figures(1, {"gain": 1.0})
        else:
            nothing = torch.zeros(1, 1, 2, 2)
            report.pictures(1, nothing, nothing[:, 0], nothing)
    assert not (tmp_path / "out").exists()
