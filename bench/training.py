"""How much faster is the training loop than a plain one?

    python -m bench.training --data CAMVID [--weights squeezenet1_1.npz] [--iterations 60] [--save]

Both train the same network with the same loss, optimizer settings and crops, each in a fresh process, in turn over
several rounds. Plain: the loop of a tutorial: a data set that decodes and augments one sample at a time with kornia,
DataLoader with its default collation, contiguous float32 tensors, an optimizer with its defaults. Real: segrt's
batches (OpenCV's warp of bytes, colours per batch, decoded pictures kept), channels last, memory kept by malloc, fused
AdamW, and autocast where the machine computes bf16. Prints images/s and their ratio; --save writes
bench/results/training.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import cv2
import kornia.augmentation as K
import numpy as np
import torch
from kornia.geometry.transform import warp_perspective
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from segrt.runtime.spec import ColourOrder
from segrt.trainer import machine
from segrt.trainer.augment import random_view
from segrt.trainer.batches import Stream, labelled, load_batches
from segrt.trainer.checkpoint import spec_of
from segrt.trainer.config import Config, from_dict
from segrt.trainer.data import Folder, open_folder
from segrt.trainer.evaluate import normalise, padding_bgr
from segrt.trainer.losses import segmentation_loss
from segrt.trainer.networks import build_network, load_encoder
from segrt.trainer.optimize import Average, build_optimizer

from .environment import header, save
from .loader import CLASSES

ROUNDS = 3
WARM_UP = 8  # iterations: the first ones allocate, and wait for the loader to start
SETTINGS = {
    "squeezenet_unet, 64x96 crops": {"name": "squeezenet_unet", "width": 16, "crop": [64, 96], "input": [128, 160]},
    "unet 16, 96x128 crops": {"name": "unet", "width": 16, "crop": [96, 128], "input": [128, 160]},
}


def config_of(setting: str, data: str, weights: str) -> Config:
    """A recipe of the usual size on CamVid; every colour step that recipes use is on."""
    chosen = SETTINGS[setting]
    return from_dict(
        {
            "name": "training",
            "data": {"root": data, "classes": CLASSES},
            "input": {"size_hw": chosen["input"]},
            "network": {
                "name": chosen["name"], "width": chosen["width"], "weights": weights if chosen["name"] != "unet" else ""
            },
            "augment": {"specular": 0.0, "motion": 0.0},
            "supervised": {"batch": 8, "crop_hw": chosen["crop"], "optimizer": "adamw", "lr": 1e-3, "ema": 0.99},
            "machine": {"workers": 1, "cache_mb": 400},
        }
    )  # fmt: skip


def real_loop(config: Config, folder: Folder, iterations: int) -> float:
    """Images per second of segrt's loop."""
    machine.prepare(config.machine)
    spec, device = spec_of(config), machine.choose_device(config.machine)
    network = build_network(config.network, len(CLASSES)).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    load_encoder(network, config.network)
    optimizer, average = build_optimizer(network, config), Average(network, config.supervised.ema)
    stream = Stream(labelled(folder.samples), config.supervised.batch)
    batches = load_batches([stream], config, padding_bgr(spec)[::-1], range(WARM_UP + iterations))
    since_s = 0.0
    for iteration in range(WARM_UP + iterations):
        if iteration == WARM_UP:
            since_s = perf_counter()
        images, masks, _ = next(batches)
        with machine.autocast(config.machine, device):
            logits = network(normalise(images, spec, ColourOrder.RGB))
        loss = segmentation_loss(logits.float(), masks[:, 0].long(), config.supervised.loss)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), config.supervised.clip)
        optimizer.step()
        average.update(network, iteration)
    return iterations * config.supervised.batch / (perf_counter() - since_s)


class PlainSet(Dataset[tuple[Tensor, Tensor]]):
    """One sample at a time: decode, warp and colour in float, as a tutorial does."""

    def __init__(self, folder: Folder, config: Config) -> None:
        self.folder, self.config = folder, config
        augment = config.augment
        self.colour = K.AugmentationSequential(
            K.ColorJiggle(*augment.jitter, p=augment.jitter_probability),
            K.RandomGamma(augment.gamma, p=augment.gamma_probability),
            K.RandomGrayscale(p=augment.grey),
            K.RandomGaussianBlur((9, 9), (0.5, 2.5), p=augment.blur),
            K.RandomGaussianNoise(std=0.03, p=augment.noise),
            data_keys=["input"],
        )

    def __len__(self) -> int:
        return len(self.folder.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = self.folder.samples[index].read()
        crop = self.config.supervised.crop_hw
        view = random_view(image.shape[:2], self.config.input, crop, self.config.augment, np.random.default_rng(index))
        matrix = torch.from_numpy(view)[None].float()
        rgb = torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)[None].float() / 255
        ids = torch.from_numpy(mask)[None, None].float() + 1
        seen = self.colour(warp_perspective(rgb, matrix, crop))
        seen_ids = warp_perspective(ids, matrix, crop, mode="nearest")[0, 0] - 1
        return seen[0], torch.where(seen_ids < 0, 255, seen_ids).long()


def plain_loop(config: Config, folder: Folder, iterations: int) -> float:
    """Images per second of a tutorial's loop in float32."""
    cv2.setNumThreads(0)
    network = build_network(config.network, len(CLASSES)).train()
    load_encoder(network, config.network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.supervised.lr)
    loader = DataLoader(PlainSet(folder, config), batch_size=config.supervised.batch, shuffle=True, num_workers=1)
    done, since_s = 0, 0.0
    while True:
        for images, target in loader:
            if done == WARM_UP:
                since_s = perf_counter()
            if done == WARM_UP + iterations:
                return iterations * config.supervised.batch / (perf_counter() - since_s)
            loss = segmentation_loss(network(images * 2 - 1), target, config.supervised.loss)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), config.supervised.clip)
            optimizer.step()
            done += 1


def main() -> None:
    """Measure both loops in turn, each in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CamVid: train/images, train/masks")
    parser.add_argument("--weights", default="", help="SqueezeNet's .npz")
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("LOOP", "SETTING"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        loop, setting = options.one
        config = config_of(setting, options.data, options.weights)
        folder = open_folder(Path(options.data) / "train", tuple(CLASSES))
        print(json.dumps({"real": real_loop, "plain": plain_loop}[loop](config, folder, options.iterations)))
        return
    result: dict[str, Any] = header("How much faster is the training loop than a plain fp32 one?", "torch", "kornia")
    result["rounds"], result["iterations"], result["loops"] = ROUNDS, options.iterations, {}
    for setting in SETTINGS:
        rates: dict[str, list[float]] = {"plain": [], "real": []}
        for _ in range(ROUNDS):
            for loop, found in rates.items():
                found.append(_measured(loop, setting, options))
        ratios = sorted(real / plain for real, plain in zip(rates["real"], rates["plain"], strict=True))
        entry = {f"{loop}_images_per_s": round(median(found), 2) for loop, found in rates.items()}
        result["loops"][setting] = {**entry, "ratio": round(median(ratios), 3), "ratios": [round(r, 3) for r in ratios]}
        print(f"{setting}: {result['loops'][setting]}", flush=True)
    if options.save:
        print(save("training", result))


def _measured(loop: str, setting: str, options: argparse.Namespace) -> float:
    command = [sys.executable, "-m", "bench.training", "--data", options.data, "--weights", options.weights]
    command += ["--iterations", str(options.iterations), "--one", loop, setting]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(found.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
