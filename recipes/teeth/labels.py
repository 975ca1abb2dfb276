"""The data set behind the models `teeth` and `teeth-plus`: other, tooth and gum.

    python recipes/teeth/labels.py DATA OUT

DATA is the development data (docs/data.md), OUT becomes

    train/images, masks   DATA/dental/train; masks by hand (gum/train/) where there are such, else by rule (gum_rule.py)
    train/rule            masks by rule of all of them: what a person or a rule would have given without looking again
    train/trusted.txt     the names of those by hand, and of the frames of DATA/videos without any teeth, all "other"
    val/images, masks     DATA/dental/val, all by hand (gum/val/); and by rule in val/rule

Pictures are linked, not copied. Files that are there already are written anew; nothing else in OUT is touched.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from gum_rule import GUM, TOOTH, gum_by_rule  # beside this file
from numpy.typing import NDArray

import segrt
from segrt.runtime.errors import DataError
from segrt.runtime.sinks.png import encode_grey
from segrt.trainer.data import Sample, open_folder
from segrt.trainer.mask_file import read_mask

BY_HAND = Path(__file__).parent / "gum"

WITHOUT_TEETH = {
    "bikes.mp4": 10,  # every so many frames
    "flipping_a_pancake.mkv": 12,
    "nasa_13013.mp4": 60,
    "realshort.mp4": 8,
    "video_0.mov": 3,
    "video_90.mov": 3,
}
"""Clips in DATA/videos of streets, rooms, things and people whose teeth do not show."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    trusted = []
    for split in ("train", "val"):
        folder, out = open_folder(options.data / "dental" / split, ("other", "tooth")), options.out / split
        for name in ("images", "masks", "rule"):
            (out / name).mkdir(parents=True, exist_ok=True)
        for sample in folder.samples:
            by_hand = BY_HAND / split / f"{sample.name}.png"
            if split == "val" and not by_hand.is_file():
                raise DataError(f"{by_hand} is missing: every validation photo needs a mask by hand")
            _link(sample.image, out / "images" / sample.image.name)
            mask = read_mask(by_hand) if by_hand.is_file() else label(sample)
            (out / "masks" / f"{sample.name}.png").write_bytes(encode_grey(mask))
            (out / "rule" / f"{sample.name}.png").write_bytes(encode_grey(label(sample)))
            trusted += [sample.name] if split == "train" and by_hand.is_file() else []
    trusted += [name for clip, every in WITHOUT_TEETH.items() for name in _frames(options, clip, every)]
    (options.out / "train" / "trusted.txt").write_text("\n".join(trusted) + "\n")


def label(sample: Sample) -> NDArray[np.uint8]:
    """(h, w) uint8: a photo's label of teeth with the rule's gum added."""
    image, mask = sample.read()
    mask = mask.copy()
    mask[gum_by_rule(image, mask == TOOTH) & (mask == 0)] = GUM
    return mask


def _frames(options: argparse.Namespace, clip: str, every: int) -> list[str]:
    """Write some frames of a clip, all of it "other"; their names."""
    names, train = [], options.out / "train"
    with segrt.open_source(options.data / "videos" / clip) as source:
        for frame in source:
            if frame.image is None or frame.index % every:
                continue
            name = f"{Path(clip).stem}-{frame.index:04d}"
            cv2.imwrite(str(train / "images" / f"{name}.png"), frame.image)
            for masks in ("masks", "rule"):
                (train / masks / f"{name}.png").write_bytes(encode_grey(np.zeros(frame.image.shape[:2], np.uint8)))
            names.append(name)
    return names


def _link(picture: Path, place: Path) -> None:
    place.unlink(missing_ok=True)
    place.symlink_to(picture.resolve())


if __name__ == "__main__":
    try:
        main()
    except segrt.SegrtError as error:
        sys.exit(f"labels.py: {error}")
