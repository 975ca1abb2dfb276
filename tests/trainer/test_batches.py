from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from segrt import ConfigError
from segrt.trainer.batches import Batches, Cache, Item, Stream, labelled, load_batches
from segrt.trainer.config import Config, MachineConfig
from segrt.trainer.data import open_folder

GREY = (127, 127, 127)


@pytest.fixture
def items(discs) -> list[Item]:
    return labelled(open_folder(discs / "train", ("ground", "disc")).samples)


def made(items: Sequence[Item], config: Config, count: int = 2) -> Batches:
    return Batches([Stream(items, count)], config, GREY, salt=0)


def test_every_epoch_draws_every_sample_once(items, tiny):
    batches = made(items, tiny)
    numbers = [int(n) for iteration in range(9) for n in batches[iteration].numbers]
    epochs = [numbers[first : first + 6] for first in (0, 6, 12)]
    assert all(Counter(epoch) == Counter(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_batch_depends_on_seed_salt_and_iteration_alone(items, tiny):
    before = torch.random.get_rng_state()
    batch = made(items, tiny)[4]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (batch.images.shape, batch.images.dtype) == ((2, 3, 32, 32), torch.uint8)
    assert (batch.masks.shape, batch.masks.dtype) == ((2, 1, 32, 32), torch.uint8)
    torch.manual_seed(99)
    cached = replace(tiny, machine=replace(tiny.machine, cache_mb=1))
    assert all(
        torch.equal(a, b) for config in (tiny, cached) for a, b in zip(batch, made(items, config)[4], strict=True)
    )
    others = (
        made(items, tiny)[5],
        made(items, replace(tiny, seed=2))[4],
        Batches([Stream(items, 2)], tiny, GREY, 1)[4],
    )
    assert not any(torch.equal(batch.images, other.images) for other in others)


def test_streams_fill_each_batch_in_their_order(items, tiny):
    batches = Batches([Stream(items[:1], 1), Stream(items, 3)], tiny, GREY, salt=0)
    firsts = [batches[iteration].numbers.tolist() for iteration in range(4)]
    assert all(len(numbers) == 4 and numbers[0] == 0 for numbers in firsts)
    assert Counter(n for numbers in firsts for n in numbers[1:]) == Counter(list(range(6)) * 2)


def test_shares_of_a_batch_are_what_one_process_makes_of_them_alone(items, tiny):
    streams = [Stream(items, 4), Stream(items[:3], 2)]
    whole = Batches(streams, tiny, GREY, 0, range(2), 2)[3]
    assert torch.equal(whole.numbers, Batches(streams, tiny, GREY, 0)[3].numbers)
    for share in range(2):
        own = Batches(streams, tiny, GREY, 0, range(share, 2, 2), 2)[3]
        assert all(torch.equal(part, every[share::2]) for part, every in zip(own, whole, strict=True))
    config = replace(tiny, machine=replace(tiny.machine, shares=2))
    assert torch.equal(next(load_batches(streams, config, GREY, range(3, 4))).images, whole.images)
    with pytest.raises(ConfigError, match="3 samples of one kind, and 2 processes"):
        load_batches([Stream(items, 3)], config, GREY, range(1))


def test_all_masks_of_an_item_are_seen_from_the_same_place(items, tiny, tmp_path):
    ids = cv2.imread(str(items[0].masks[0][0]), cv2.IMREAD_UNCHANGED)
    other = tmp_path / "other.png"
    cv2.imwrite(str(other), np.where(ids == 255, ids, 1 - ids))
    item = Item(items[0].image, (*items[0].masks, (other,)))
    masks = made([item], tiny)[0].masks
    known = masks[:, 0] != 255
    assert masks.shape == (2, 2, 32, 32)
    assert known.any()
    assert torch.equal(masks[:, 1][known], 1 - masks[:, 0][known])


def test_a_loader_process_gives_the_same_batches_and_starts_where_told(items, tiny):
    found = []
    for workers in (0, 1):
        config = replace(tiny, machine=MachineConfig(device="cpu", workers=workers, threads=1))
        found.append(list(load_batches([Stream(items, 2)], config, GREY, range(2, 5))))
    assert [len(batches) for batches in found] == [3, 3]
    assert all(
        torch.equal(a, b) for alone, beside in zip(*found, strict=True) for a, b in zip(alone, beside, strict=True)
    )
    assert torch.equal(found[0][0].images, made(items, tiny)[2].images)


def test_a_cache_keeps_what_was_used_last_and_never_more_than_its_limit(tmp_path):
    reads = []

    def read(path):
        reads.append(path.name)
        return np.zeros(100 if path.name != "large" else 1000, np.uint8)

    cache = Cache(250)
    for name in ("a", "b", "a", "c", "a", "b", "large", "large"):
        cache.get(tmp_path / name, read)
        assert cache.size == sum(pixels.nbytes for pixels in cache.held.values()) <= 250
    assert reads == ["a", "b", "c", "b", "large", "large"]
