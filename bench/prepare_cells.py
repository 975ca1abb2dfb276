"""Cut the cell microscopy set (BU-BIL 3) to its annotated cells, and split it by seed.

    python -m bench.prepare_cells data/cells data/cells-cropped --seeds 1 2 3

Each picture shows many cells, and one of them is annotated: nothing could tell a network which. So every picture and
its masks are cut to a square around the annotated cell, 2.2 times as wide as it is and moved by up to a fifth, lest
its place tell what it is. Writes OUT/sSEED/{train,test}/{images,masks,annotators/NAME}: 31 pictures and 16.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, MARGIN_PX, SHIFT, TEST = 2.2, 16, 0.2, 16

Picture = NDArray[np.uint8]


def main() -> None:
    """Write one split per seed; the cuts are the same in all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path, help="holds images/, gold/ and annotators/NAME/")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    images = sorted((options.cells / "images").iterdir())
    cuts = np.random.default_rng(0).uniform(-SHIFT, SHIFT, (len(images), 2))
    for seed in options.seeds:
        names = [path.stem for path in images]
        random.Random(seed).shuffle(names)
        test = set(names[:TEST])
        for image, shift in zip(images, cuts, strict=True):
            split = options.out / f"s{seed}" / ("test" if image.stem in test else "train")
            write(options.cells, image, shift, split)
    print(
        f"{options.out}: {len(images) - TEST} pictures for training and {TEST} for testing, {len(options.seeds)} splits"
    )


def write(cells: Path, image: Path, shift: NDArray[np.float64], split: Path) -> None:
    """One picture, its gold mask and what each annotator drew, as ids 0 and 1."""
    gold = cv2.imread(str(cells / "gold" / f"{image.stem}.png"), cv2.IMREAD_UNCHANGED)
    rows, columns = np.nonzero(gold)
    side = int(max(np.ptp(rows), np.ptp(columns)) * WIDTH) + MARGIN_PX
    centre = (columns.min() + columns.max()) / 2 + shift[0] * side, (rows.min() + rows.max()) / 2 + shift[1] * side
    x, y = (
        int(np.clip(c - side / 2, 0, max(0, length - side))) for c, length in zip(centre, gold.shape[::-1], strict=True)
    )
    save(split / "images" / f"{image.stem}.png", cv2.imread(str(image))[y : y + side, x : x + side])
    save(split / "masks" / f"{image.stem}.png", binary(gold)[y : y + side, x : x + side])
    for person in sorted((cells / "annotators").iterdir()):
        drawn = person / f"{image.stem}.png"
        if drawn.is_file():
            mask = binary(cv2.imread(str(drawn), cv2.IMREAD_UNCHANGED))
            save(split / "annotators" / person.name / drawn.name, mask[y : y + side, x : x + side])


def binary(mask: Picture) -> Picture:
    """Any value above 0 is the cell."""
    return (mask > 0).astype(np.uint8)


def save(path: Path, picture: Picture) -> None:
    """Write a PNG, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


if __name__ == "__main__":
    main()
