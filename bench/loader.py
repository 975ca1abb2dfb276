"""Does the network ever wait for the loader?

    python -m bench.loader --data CAMVID [--iterations 90] [--save]

For one loader process, with and without decoded pictures kept in memory: the batches per second that the loader makes
alone, those that the network takes alone (the smallest step of all stages: forward, backward and update of the
segmenter), and both together as in training, with the share of the time that the loop waits. Prints the figures, and
with --save writes them to bench/results/loader.json. Batches of 8 crops of 96x128 from CamVid fitted into 128x160.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import nn

from segrt.runtime.spec import ColourOrder
from segrt.trainer import machine
from segrt.trainer.batches import Batch, Batches, Stream, labelled, load_batches
from segrt.trainer.checkpoint import spec_of
from segrt.trainer.config import Config, from_dict
from segrt.trainer.data import Folder, open_folder
from segrt.trainer.evaluate import normalise, padding_bgr
from segrt.trainer.losses import segmentation_loss
from segrt.trainer.networks import build_network
from segrt.trainer.optimize import build_optimizer

from .environment import header, save

CLASSES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist"]
CACHES_MB = (0, 400)  # 400 holds all of CamVid's training pictures, decoded
RUNS = 3  # of each measurement, in turn; the median counts


def settings(data: str) -> Config:
    """A run as the experiments do it."""
    return from_dict(
        {
            "name": "loader",
            "data": {"root": data, "classes": CLASSES},
            "input": {"size_hw": [128, 160]},
            "network": {"name": "unet", "width": 16, "depth": 4},
            "supervised": {"batch": 8, "crop_hw": [96, 128]},
            "machine": {"workers": 1, "cache_mb": 0},
        }
    )


class Step:
    """One iteration of the segmenter's training."""

    def __init__(self, config: Config) -> None:
        self.config, self.spec, self.device = config, spec_of(config), machine.choose_device(config.machine)
        torch.manual_seed(0)
        network = build_network(config.network, len(CLASSES), config.supervised.crop_hw).to(self.device).train()
        self.network: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = build_optimizer(self.network, config)

    def __call__(self, batch: Batch) -> None:
        images = normalise(batch.images.to(self.device), self.spec, ColourOrder.RGB)
        target = batch.masks[:, 0].to(self.device).long()
        with machine.autocast(self.config.machine, self.device):
            logits = self.network(images)
        loss = segmentation_loss(logits.float(), target, self.config.supervised.loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        float(loss.detach())  # as the report does: waits for a GPU


def batches(config: Config, folder: Folder, count: int) -> Iterator[Batch]:
    """An epoch that fills the cache, which is not given, then `count` batches."""
    streams = [Stream(labelled(folder.samples), config.supervised.batch)]
    epoch = -(-len(folder.samples) // config.supervised.batch)
    loaded = load_batches(streams, config, padding_bgr(spec_of(config))[::-1], range(epoch + count))
    for _ in range(epoch):
        next(loaded)
    return loaded


def loader_alone(config: Config, folder: Folder, count: int) -> float:
    """Batches per second."""
    loaded = batches(config, folder, count)
    begin = perf_counter()
    for _ in loaded:
        pass
    return count / (perf_counter() - begin)


def network_alone(step: Step, batch: Batch, count: int) -> float:
    """Iterations per second on a batch in memory."""
    for _ in range(5):
        step(batch)
    begin = perf_counter()
    for _ in range(count):
        step(batch)
    return count / (perf_counter() - begin)


def together(step: Step, config: Config, folder: Folder, count: int) -> tuple[float, float]:
    """Iterations per second, and the share of the time that the loop waits for the loader."""
    loaded, waited_s = batches(config, folder, count), 0.0
    begin = perf_counter()
    for _ in range(count):
        asked = perf_counter()
        batch = next(loaded)
        waited_s += perf_counter() - asked
        step(batch)
    took_s = perf_counter() - begin
    return count / took_s, waited_s / took_s


def measure(config: Config, count: int) -> list[dict[str, Any]]:
    """One row per cache size: medians over the runs, which alternate between the sizes."""
    folder = open_folder(Path(config.data.root) / config.data.train, config.data.classes)
    step = Step(config)
    streams = [Stream(labelled(folder.samples), config.supervised.batch)]
    batch = Batches(streams, config, padding_bgr(spec_of(config))[::-1], salt=0)[0]
    runs: dict[int, list[tuple[float, ...]]] = {cache_mb: [] for cache_mb in CACHES_MB}
    for _ in range(RUNS):
        for cache_mb, found in runs.items():
            cached = replace(config, machine=replace(config.machine, cache_mb=cache_mb))
            alone = loader_alone(cached, folder, count)
            found.append((alone, network_alone(step, batch, count), *together(step, cached, folder, count)))
    rows = []
    for cache_mb, found in runs.items():
        loader, network, both, waiting = (median(values) for values in zip(*found, strict=True))
        row = {"cache_mb": cache_mb, "loader_batches_per_s": loader, "network_batches_per_s": network}
        row |= {"times_needed": loader / network, "together_batches_per_s": both, "waiting_share": waiting}
        rows.append({key: value if key == "cache_mb" else round(value, 3) for key, value in row.items()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DIR", help="CamVid, with train/images and train/masks")
    parser.add_argument("--iterations", type=int, default=90, help="per measurement")
    parser.add_argument("--save", action="store_true", help="write bench/results/loader.json")
    options = parser.parse_args()
    config = settings(options.data)
    machine.prepare(config.machine)
    facts = header((__doc__ or "").splitlines()[0], "torch", "kornia", "opencv-python", "numpy")
    facts |= {"threads": torch.get_num_threads(), "workers": config.machine.workers, "runs": RUNS}
    facts |= {"batch": config.supervised.batch, "crop_hw": config.supervised.crop_hw, "network": "unet, width 16"}
    rows = measure(config, options.iterations)
    print(f"{'cache':>8}{'loader/s':>10}{'network/s':>11}{'times':>7}{'together/s':>12}{'waiting':>9}")
    for row in rows:
        print(
            f"{row['cache_mb']:>5} MB{row['loader_batches_per_s']:>10.1f}{row['network_batches_per_s']:>11.1f}"
            f"{row['times_needed']:>7.1f}{row['together_batches_per_s']:>12.1f}{row['waiting_share']:>9.1%}"
        )
    if options.save:
        print(f"\nwritten: {save('loader', facts | {'rows': rows})}")


if __name__ == "__main__":
    main()
