"""What the segmenter learns in S5: a target for every sample, and how far the noisy ones' are trusted."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from segrt.runtime.errors import ConfigError, ModelError

from ..batches import Item
from ..config import Config
from ..losses import one_hot
from .revise import FLAGS, MASKS, read_records
from .revision import revised_probabilities
from .setup import Setup


def targets(setup: Setup, revised: Path | None) -> tuple[list[Item], list[Item], Tensor]:
    """Trusted and noisy items with the layers target, flag and given label, and the noisy items' trust (n,).

    Raises:
        ModelError: target "revised", and a sample has no revised label.
        ConfigError: there is no noisy sample, or no room for one in a batch.
    """
    own, samples = setup.config.method.finetune, setup.train.noisy
    trusted = [Item(sample.image, ((sample.mask,),) * 3) for sample in setup.train.trusted]
    if own.target == "none":
        return trusted, [], torch.zeros(0)
    if not samples:
        raise ConfigError(
            f"{setup.train.path}: stage 'finetune' needs noisy samples, and all {len(trusted)} are trusted; see "
            "data.trusted, or set method.finetune.target to 'none'"
        )
    if setup.config.supervised.batch < 2:
        raise ConfigError("stage 'finetune' needs supervised.batch of 2 or more: a trusted and a noisy sample in each")
    if own.target != "revised":
        return trusted, [Item(s.image, ((s.mask,),) * 3) for s in samples], torch.ones(len(samples))
    records = read_records(revised) if revised is not None else {}
    if missing := [sample.name for sample in samples if sample.name not in records]:
        raise ModelError(f"{revised} has no revised label of {missing[0]!r}; run stage 'revise' first")
    assert revised is not None
    noisy = [
        Item(s.image, ((revised / MASKS / f"{s.name}.png",), (revised / FLAGS / f"{s.name}.png",), (s.mask,)))
        for s in samples
    ]
    return trusted, noisy, torch.tensor([records[sample.name].weight for sample in samples])


@torch.no_grad()
def soft_targets(
    network: nn.Module, corrector: nn.Module, x: Tensor, target: Tensor, given: Tensor, of_trusted: int, config: Config
) -> Tensor:
    """(n, classes, h, w): the truth of trusted samples, the revision's own probabilities for the noisy ones.

    As in a revised mask, `guide` mixes in the image network's opinion, and pixels below `min_probability` are unknown
    or as given.

    Args:
        network: the image network that the corrector learnt to look through, not the one that is being trained.
        x: (n, 3, h, w) network input; target, given: (n, h, w) ids.
        of_trusted: how many of the batch, the first, are trusted.
    """
    wanted, label = (one_hot(ids, len(config.data.classes)) for ids in (target, given[of_trusted:]))
    network.eval()
    corrector.eval()
    revised = revised_probabilities(network, corrector, x[of_trusted:], label, config)[1].float()
    sure = revised.amax(dim=1, keepdim=True) >= config.method.revise.min_probability
    instead = label if config.method.revise.unsure == "given" else torch.zeros_like(label)
    wanted[of_trusted:] = torch.where(sure, revised, instead) * label.sum(dim=1, keepdim=True)
    return wanted
