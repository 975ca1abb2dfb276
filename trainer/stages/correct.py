"""S2: the label network and its link learn to turn a wrong label into the right one, on trusted samples alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from segrt.runtime.errors import ConfigError, ModelError

from .. import distributed, machine
from ..batches import Stream, labelled
from ..checkpoint import Checkpoint, load
from ..config import Config
from ..data import Sample
from ..descent import Descent
from ..losses import one_hot, segmentation_loss, to_probabilities
from ..networks.dual import Corrector
from ..report import Report
from .labels import open_labels
from .revision import revision_gain
from .setup import (
    LAST,
    Setup,
    finished,
    handed_on,
    keep,
    needs,
    open_networks,
    open_segmenter,
    resumable,
    set_up,
)
from .steps import steps
from .supervised import STAGE as SUPERVISED
from .supervised import train_segmenter

STAGE, SALT = "correct", 2


def run(config: Config, out: Path, start: Checkpoint | None = None) -> Checkpoint:
    """Train corrector from the segmenter in `start` (S1), or go on where a checkpoint of this stage stopped.

    The wrong labels y are predictions (softened), synthetic re-annotations, or half of each; the target is the truth.

    Returns:
        The last checkpoint: `start`'s groups and "corrector". Its figures tell what revision gains on held-out labels.
    Raises:
        ModelError, DataError, ConfigError: before training starts.
    """
    start = needs(start, "network", STAGE, "segment")
    setup, loop, own = set_up(config), config.supervised, config.method.correct
    network, corrector, _ = open_networks(setup, start)
    labels = open_labels(setup, out)
    predictors = Predictors(setup, start, network, labels.learnt, out)
    trained = generator(network, corrector, config)
    descent = Descent(trained, config, setup.device, own.iterations, loop.lr * own.lr_scale)
    first, figures, checkpoint = resumable(STAGE, start), dict(start.figures), start
    if first:
        descent.restore(start.groups["optimizer"])

    iterations = steps(setup, [Stream(labels.items(), loop.batch)], first, own.iterations, SALT)
    network.eval()
    with Report(out, config, STAGE, first, own.iterations) as report:
        for step in iterations:
            x, layers = setup.on_device(step.batch)  # (n, 3, h, w)
            t, y = layers.unbind(1)  # (n, h, w): the truth, a synthetic wrong label
            label = wrong_labels(x, t, y, step.batch.numbers, predictors, config)  # (n, classes, h, w)

            corrector.train()
            with machine.autocast(config.machine, setup.device):
                with torch.set_grad_enabled(not config.method.dual.detach_visual):
                    visual = network.decode(x)  # type: ignore[operator]
                logits = corrector(label, x, visual)  # (n, classes, h, w)
                loss = segmentation_loss(logits.float(), t, loop.loss, class_weights=setup.class_weights)
                if not config.method.dual.detach_visual:
                    loss = loss + own_loss(network, visual, t, config)
            rate = descent.step(loss, step.iteration)

            report.step(step.done, {"loss": loss}, rate, step.waited_s)
            if step.due(loop.pictures_every):
                report.pictures(step.done, step.batch.images, label.argmax(1), logits)
            if step.last:
                figures = revision_gain(setup, network, corrector, labels.held_out, labels.variants)
                report.figures(step.done, figures)
            if step.due(loop.checkpoint_every):
                parts = handed_on(start, network=network.state_dict(), corrector=corrector.state_dict())
                groups = {**parts, "optimizer": descent.tensors()}
                checkpoint = Checkpoint(config, STAGE, step.done, groups, figures)
                keep(checkpoint, out, {k: v for k, v in parts.items() if k != "snapshot"}, final=step.last)
    return checkpoint


def own_loss(network: nn.Module, visual: tuple[Tensor, list[Tensor]], truth: Tensor, config: Config) -> Tensor:
    """The image network's own loss, beside a label loss that moves it: it must stay a segmenter.

    Args:
        visual: what its `decode` gave; truth: (n, h, w) ids of the same pictures, the first of the batch.
    """
    logits = network.head(visual[1][-1][: len(truth)])  # type: ignore[operator]
    return segmentation_loss(logits.float(), truth, config.supervised.loss)


def generator(network: nn.Module, corrector: Corrector, config: Config) -> nn.Module:
    """What the label losses train: the corrector, and the image network too unless it is detached."""
    return corrector if config.method.dual.detach_visual else nn.ModuleList([network, corrector])


class Predictors:
    """The networks whose predictions stand for wrong labels; with folds, each answers for pictures it has not seen."""

    def __init__(
        self, setup: Setup, start: Checkpoint, network: nn.Module, samples: Sequence[Sample], out: Path
    ) -> None:
        self.own, self.folds = setup.config.method.correct, 1
        self.networks: list[nn.Module] = []
        if self.own.source == "synthetic":
            return
        if self.own.predictions == "final":
            self.networks = [network]
        elif self.own.predictions == "snapshot":
            if "snapshot" not in start.groups:
                raise ModelError(
                    "method.correct.predictions is 'snapshot', but the segmenter to start from kept none: run stage "
                    "'segment' with this setting, or choose 'folds'"
                )
            self.networks = [_loaded(setup, start.groups["snapshot"])]
        else:
            self.folds = self.own.folds
            if len(samples) < self.folds:
                raise ConfigError(
                    f"method.correct.folds is {self.folds}, but only {len(samples)} trusted samples are left to learn "
                    "from; trust more, or set method.correct.predictions to 'snapshot'"
                )
            weights = [_train_fold(setup, samples, fold, out / f"fold{fold}").weights for fold in range(self.folds)]
            self.networks = [_loaded(setup, each) for each in weights]

    @torch.no_grad()
    def __call__(self, x: Tensor, numbers: Tensor, kind: str) -> Tensor:
        """Softened probabilities (n, classes, h, w) for pictures x (n, 3, h, w), items `numbers` (n,) of the stream."""
        found: Tensor | None = None
        for fold, network in enumerate(self.networks):
            mine = (numbers % self.folds == fold).to(x.device)
            if not mine.any():
                continue
            logits = network(x[mine]).float()
            if logits.shape[-2:] != x.shape[-2:]:
                logits = nn.functional.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)
            answer = to_probabilities(logits / self.own.temperature, kind)
            found = x.new_zeros(len(x), *answer.shape[1:]) if found is None else found
            found[mine] = answer
        assert found is not None
        return found


def wrong_labels(
    x: Tensor, truth: Tensor, synthetic: Tensor, numbers: Tensor, predictors: Predictors, config: Config
) -> Tensor:
    """The label network's input y in S2: predictions, synthetic re-annotations, or either by the toss of a coin.

    Args:
        x: (n, 3, h, w) network input; truth, synthetic: (n, h, w) ids; numbers: (n,) of the items.
    Returns:
        (n, classes, h, w), all zero where there is no picture.
    """
    drawn = one_hot(synthetic, len(config.data.classes))
    source = config.method.correct.source
    if source == "synthetic":
        return drawn
    predicted = predictors(x, numbers, config.supervised.loss) * (truth != 255)[:, None]
    if source == "predicted":
        return predicted
    coins = distributed.own_rows(torch.rand(distributed.world() * len(x))) < 0.5
    return torch.where(coins.to(x.device).view(-1, 1, 1, 1), predicted, drawn)


def _loaded(setup: Setup, weights: Mapping[str, Tensor]) -> nn.Module:
    return open_segmenter(setup, weights, "the network that predicts wrong labels").eval()


def _train_fold(setup: Setup, samples: Sequence[Sample], fold: int, out: Path) -> Checkpoint:
    """A segmenter that has seen all but every K-th sample; resumes, or is read where it is finished."""
    if done := finished(out):
        return done
    own, loop = setup.config.method.correct, setup.config.supervised
    iterations = max(1, round(own.fold_share * loop.iterations))
    config = replace(setup.config, supervised=replace(loop, iterations=iterations, samples="all"))
    others = [sample for number, sample in enumerate(samples) if number % own.folds != fold]
    partial = load(out / LAST) if (out / LAST).is_file() else None
    return train_segmenter(replace(setup, config=config), labelled(others), out, partial, SUPERVISED)
