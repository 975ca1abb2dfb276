"""The photos on which a model is worst, as silhouettes: the photos themselves may not be shown, their masks may.

    python -m bench.silhouettes --data DATA [--model teeth] [--count 8] -o docs/models/worst.png

A row each: the label that the photo came with, the model's mask, the mask by hand; teeth blue, gum orange, what cannot
be told grey. Worst first, by tooth IoU with the mask by hand.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .model_inputs import opened, read_pictures
from .model_scores import number, score
from .models import BY_HAND

COLOURS = np.full((256, 3), 40, np.uint8)  # BGR by class id
COLOURS[1], COLOURS[2], COLOURS[255] = (233, 180, 86), (0, 159, 230), (120, 120, 120)

SIDE, GAP, TITLE = 150, 6, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="teeth")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    photos = read_pictures(options.data, BY_HAND).photos
    with opened(options.model, None) as model:
        scores = [score(photo, model.predict(photo.image)) for photo in photos]
    iou = {i: found for i, each in enumerate(scores) if (found := number(each.by_hand.iou()[1])) is not None}
    rows = []
    for i in sorted(iou, key=iou.__getitem__)[: options.count]:
        tiles = [tile(mask) for mask in (photos[i].given, scores[i].mask, photos[i].by_hand)]
        rows.append(titled(np.hstack(tiles), f"{photos[i].name}: tooth IoU {iou[i]:.2f}"))
    halves = [np.vstack(rows[start::2]) for start in (0, 1)]
    picture = titled(np.hstack([half[: min(map(len, halves))] for half in halves]), "given label, model, by hand")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.output), picture)


def tile(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask in colours, in a square."""
    height, width = mask.shape
    scale = (SIDE - GAP) / max(height, width)
    small = cv2.resize(mask, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_NEAREST)
    square = np.full((SIDE, SIDE, 3), 20, np.uint8)
    square[: small.shape[0], : small.shape[1]] = COLOURS[small]
    return square


def titled(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A line of text above."""
    framed = cv2.copyMakeBorder(picture, TITLE, 0, GAP, 0, cv2.BORDER_CONSTANT, value=(20, 20, 20))
    cv2.putText(framed, text, (GAP, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA)
    return np.asarray(framed, np.uint8)


if __name__ == "__main__":
    main()
