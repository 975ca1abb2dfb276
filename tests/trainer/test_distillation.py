"""Distillation: the two losses against formulas written out, and a student that comes to answer as its teacher."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.trainer.conftest import write_pairs

from segrt.runtime.errors import ConfigError
from segrt.runtime.spec import ColourOrder
from segrt.trainer.checkpoint import load
from segrt.trainer.config import Config, from_dict, with_overrides
from segrt.trainer.distillation import Distiller, channel_loss, pixel_loss
from segrt.trainer.evaluate import normalise
from segrt.trainer.stages import supervised


def settings(root: Path, *overrides: str) -> Config:
    raw = {
        "data": {"root": str(root), "classes": ["ground", "disc"]},
        "input": {"size_hw": [32, 32]},
        "network": {"name": "unet", "width": 4, "depth": 2},
        "augment": {"specular": 0.0, "motion": 0.0, "blur": 0.0, "vignette": 0.0, "jitter_probability": 0.0},
        "supervised": {
            "iterations": 2, "batch": 4, "crop_hw": [16, 16], "warmup": 1, "loss": "ce", "evaluate_every": 0,
        },
        "machine": {"device": "cpu", "workers": 0, "threads": 1},
    }  # fmt: skip
    return with_overrides(from_dict(raw), overrides)


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> tuple[Path, Path]:
    """A data set, and a teacher's checkpoint."""
    root = tmp_path_factory.mktemp("taught")
    write_pairs(root / "train", 4)
    write_pairs(root / "val", 1)
    supervised.run(settings(root, "supervised.iterations=60", "supervised.lr=0.1"), root / "teacher")
    return root, root / "teacher" / "model.safetensors"


def probabilities(values: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def divergence(ours: list[float], theirs: list[float]) -> float:
    return sum(b * math.log(b / a) for a, b in zip(ours, theirs, strict=True))


@pytest.fixture(autouse=True)
def seeded():
    """Whatever tests ran before: where two draws nearly agree, their divergence is lost in float32."""
    torch.manual_seed(0)


def test_the_pixel_loss_is_the_mean_divergence_over_shown_pixels_times_the_temperature_squared():
    logits, answer = torch.randn(1, 3, 1, 2), torch.randn(1, 3, 1, 2)
    shown = torch.tensor([[[True, False]]])
    ours, theirs = (probabilities(each[0, :, 0, 0].tolist(), 2.0) for each in (logits, answer))
    assert pixel_loss(logits, answer, shown, 2.0).item() == pytest.approx(4 * divergence(ours, theirs), rel=1e-4)


def test_the_channel_loss_compares_where_each_class_is_and_leaves_the_padding_out():
    logits, answer = torch.randn(1, 2, 1, 3), torch.randn(1, 2, 1, 3)
    shown = torch.tensor([[[True, True, False]]])
    expected = 0.0
    for c in range(2):
        ours, theirs = (probabilities(each[0, c, 0, :2].tolist(), 4.0) for each in (logits, answer))
        expected += divergence(ours, theirs) / 2
    assert channel_loss(logits, answer, shown, 4.0).item() == pytest.approx(16 * expected, rel=1e-4)


@pytest.mark.parametrize("loss", [pixel_loss, channel_loss])
def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn(loss):
    answer, shown = torch.randn(2, 3, 4, 4), torch.ones(2, 4, 4, dtype=torch.bool)
    assert loss(answer, answer, shown, 3.0).item() == pytest.approx(0, abs=1e-5)
    nowhere = torch.zeros_like(shown)
    assert loss(answer + torch.randn_like(answer), answer, nowhere, 3.0).item() == 0


def test_a_student_comes_nearer_to_its_teacher_even_without_labels(taught, tmp_path):
    root, teacher = taught
    config = settings(
        root,
        f"distill.teacher={teacher}",
        "distill.labels=0.0",
        "supervised.iterations=60",
        "seed=5",
        "supervised.lr=0.1",
    )
    first = supervised.first_network(config, None).eval()
    supervised.run(config, tmp_path)
    last = load(tmp_path / "model.safetensors").network()
    distiller = Distiller(config, torch.device("cpu"))
    pictures = [cv2.resize(cv2.imread(str(path)), (32, 32))[..., ::-1] for path in (root / "train/images").iterdir()]
    images = torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())
    known = torch.ones(len(images), 32, 32, dtype=torch.bool)
    with torch.no_grad():
        x = normalise(images, distiller.spec, ColourOrder.RGB)
        before, after = (distiller.loss(images, known, network(x)).item() for network in (first, last))
    assert after < 0.5 * before


def test_a_teacher_of_other_classes_is_refused(taught):
    root, teacher = taught
    config = settings(root, f"distill.teacher={teacher}", 'data.classes=["disc", "ground"]')
    with pytest.raises(ConfigError, match=r"tells ground, disc apart, the recipe's classes are disc, ground"):
        Distiller(config, torch.device("cpu"))


def test_a_teacher_needs_the_softmax_loss(taught):
    root, teacher = taught
    with pytest.raises(ConfigError, match=r"supervised\.loss must be ce, found 'bce'"):
        Distiller(settings(root, f"distill.teacher={teacher}", "supervised.loss=bce"), torch.device("cpu"))
