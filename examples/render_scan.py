"""Render examples/scan.mp4: an intraoral camera pans along two rows of teeth; every pixel comes from these two files.

build_arch (a relief, once) -> Camera.take (what it sees, the true mask) -> shade -> expose (lens, sensor) -> H.264
Lengths are millimetres unless a name says px.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from mouth import LEFT, RIGHT, SEED, TOP, Bytes, Field, blur, build_arch, ramp

FPS, FRAMES = 25, 150
WORKING_DISTANCE = 42.0
PX_PER_MM = 28 / 640  # of the relief, per px of picture width: a little finer than the picture
SHUTTER = 0.3  # of the time between frames
LAMPS = ((-10.0, -7.0, 0.9), (9.0, -5.0, 0.8), (0.0, 9.0, 0.25))  # beside the lens: x, y, strength


class Pose(NamedTuple):
    """Where the hand holds the camera."""

    along: float  # mm on the arch
    up: float  # mm below the bite
    view: float  # mm across the picture
    yaw: float  # radians
    roll: float  # radians


def pose(moment: float) -> Pose:
    """The hand's path: a slow pan that comes nearer in the middle, and sways; `moment` is 0..1 over the clip."""
    m, sin = moment, math.sin
    return Pose(
        along=-8 + 47 * (0.5 - 0.5 * math.cos(math.pi * m)) + 1.2 * sin(11 * m),
        up=-3.2 + 0.9 * sin(7 * m + 1) + 0.2 * sin(31 * m),
        view=37 - 9 * sin(math.pi * m) ** 2 + 0.5 * sin(13 * m),
        yaw=0.10 * sin(6 * m) + 0.01 * sin(37 * m),
        roll=0.05 * sin(8 * m + 0.5) + 0.006 * sin(29 * m),
    )


class Camera:
    """Pictures and true masks of the mouth at one picture size."""

    def __init__(self, size: tuple[int, int]) -> None:
        """`size` is (width, height) in px."""
        self.size, self.px_per_mm = size, PX_PER_MM * size[0]
        px, arch = self.px_per_mm, build_arch(PX_PER_MM * size[0])
        slope_y, slope_x = (np.clip(s * px, -2.5, 2.5) for s in np.gradient(blur(arch.height, 0.05 * px)))
        # what lies lower than its surroundings gets less light: ambient occlusion at three scales
        sunk = sum(np.clip(blur(arch.height, s * px) - arch.height, 0, None) for s in (0.25, 0.8, 2.5))
        lit = 0.05 + 0.95 * np.exp(-0.3 * sunk)
        self.relief = blur(np.dstack([slope_x, slope_y, lit, arch.gloss]).astype(np.float32), 0.02 * px)
        self.colour, self.teeth = blur(arch.colour, 0.03 * px), arch.teeth
        # cliffs, softened inwards so that the flank of a tooth has the colour of the tooth
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(0.2 * px) + 1,) * 2)
        self.height = blur(np.asarray(cv2.erode(np.clip(arch.height, -3.5, None), disc), np.float32), 0.1 * px)
        self.s = np.linspace(LEFT, RIGHT, 2000)
        self.turn = np.cumsum(np.exp(-((self.s / 19) ** 2)) / 48 + 1 / 100) * (self.s[1] - self.s[0])

    def take(self, at: Pose) -> tuple[Field, Bytes]:
        """The sharp picture, (h, w, 3) BGR 0..1 as a screen wants it, and its true mask, (h, w)."""
        w, h = self.size
        pitch = at.view / w / WORKING_DISTANCE
        px = (np.arange(w, dtype=np.float32) - w / 2 + 0.5) * pitch
        py = (np.arange(h, dtype=np.float32)[:, None] - h / 2 + 0.5) * pitch
        ray_x = px * math.cos(at.roll) - py * math.sin(at.roll)  # mm per mm of depth
        ray_y = px * math.sin(at.roll) + py * math.cos(at.roll)
        # the arch from above in the camera's frame: x to the right, z towards the camera, angle of the wall
        angle = self.turn - np.interp(at.along, self.s, self.turn) + at.yaw
        x, z = np.cumsum([np.cos(angle), -np.sin(angle)], axis=1) * (self.s[1] - self.s[0])
        x, z = (v - np.interp(at.along, self.s, v) for v in (x, z))
        near = np.abs(angle) < 1.25
        s = np.interp(ray_x, np.maximum.accumulate((x / (WORKING_DISTANCE - z))[near]), self.s[near])
        turned, wall = (np.interp(s, self.s, v).astype(np.float32) for v in (angle, WORKING_DISTANCE - z))
        cos, sin = np.cos(turned), np.sin(turned)
        lean = (-ray_x * cos - sin) / np.maximum(cos - ray_x * sin, 0.4)  # mm along the wall per mm of relief

        def on_map(rise: Field | float) -> tuple[Field, Field]:
            across, down = s + rise * lean - LEFT, ray_y * (wall - rise * cos) + at.up - TOP
            return (across * self.px_per_mm).astype(np.float32), (down * self.px_per_mm).astype(np.float32)

        rise = meet(self.height, on_map, (h, w))
        depth, where = wall - rise * cos, on_map(rise)
        mask = cv2.remap(self.teeth, *where, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        eye = np.stack([-ray_x * depth, -ray_y * depth, depth])
        sharp = shade(sample(self.relief, where), sample(self.colour, where), cos, sin, eye)
        return sharp, np.asarray(mask, np.uint8)


def meet(height: Field, on_map: Callable[[Field | float], tuple[Field, Field]], shape: tuple[int, int]) -> Field:
    """The mm of relief at which each ray meets it: down in steps until below, then the crossing is bisected."""
    rise = np.full(shape, np.nan, np.float32)
    for level in np.arange(5.0, -4.5, -0.5):
        rise[np.isnan(rise) & (sample(height, on_map(level)) >= level)] = level
    rise = np.nan_to_num(rise, nan=-4.0)
    for step in (0.25, 0.125, 0.0625, 0.03):
        rise += np.where(sample(height, on_map(rise + step)) >= rise + step, step, 0).astype(np.float32)
    return rise


def sample(field: Field, where: tuple[Field, Field]) -> Field:
    """The map's values at (x, y) px, bilinear."""
    return np.asarray(cv2.remap(field, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def shade(surface: Field, colour: Field, cos: Field, sin: Field, eye: Field) -> Field:
    """Light the surface with the camera's lamps: soft diffuse light, sharp and broad gloss, dark corners.

    Args:
        surface: (h, w, 4) slope along x and y, share of open sky, gloss.
        cos, sin: (h, w) of the angle by which the jaw's wall turns away.
        eye: (3, h, w) mm from each point to the camera.
    """
    slope_x, slope_y, lit, gloss = cv2.split(surface)
    normal = np.stack([sin - slope_x * cos, -slope_y, cos + slope_x * sin])
    normal /= np.sqrt(1 + slope_x**2 + slope_y**2)
    distance = np.linalg.norm(eye, axis=0)
    diffuse, shine = np.zeros_like(cos), np.zeros_like(cos)
    for x, y, strength in LAMPS:
        ray = eye + np.array([x, y, 0], np.float32)[:, None, None]
        reach = np.linalg.norm(ray, axis=0)
        power = strength * (WORKING_DISTANCE / reach) ** 2
        half = ray / reach + eye / distance
        facing = np.clip((normal * half).sum(0) / np.linalg.norm(half, axis=0), 0, 1)
        diffuse += power * np.clip(((normal * ray).sum(0) / reach + 0.25) / 1.25, 0, None)
        shine += power * (1.6 * ramp(0.9955, 0.9985, facing) + 0.6 * facing**160 + 0.07 * facing**20)
    # light that finds its way into a hollow is reddened by the gum
    light = colour * diffuse[..., None] * lit[..., None] ** np.array([1.4, 1.2, 0.85], np.float32) * 0.5
    light += (0.5 * shine * gloss * lit)[..., None]
    light *= np.exp(-((eye[:2] ** 2).sum(0) / 17.0**2))[..., None]
    return np.asarray((1 - np.exp(-1.7 * light)) ** (1 / 2.2), np.float32)


def expose(sharp: Field, travel_px: float, rng: np.random.Generator) -> Bytes:
    """What the sensor makes of a picture: motion blur along the pan, the lens's softness, noise; (h, w, 3) BGR."""
    reach = math.ceil(travel_px / 2)
    trail = np.clip(travel_px / 2 + 0.5 - np.abs(np.arange(-reach, reach + 1)), 0, 1)
    picture = blur(np.asarray(cv2.sepFilter2D(sharp, -1, trail / trail.sum(), np.ones(1)), np.float32), 0.55)
    grain = blur(rng.standard_normal(sharp.shape).astype(np.float32), 0.6)
    return np.clip(255 * picture + 3.0 * grain, 0, 255).astype(np.uint8)


def render(size: tuple[int, int], frames: int) -> Iterator[tuple[Bytes, Bytes]]:
    """Yield each frame, (h, w, 3) BGR, with its true mask, (h, w) 0 other, 1 tooth; `size` is (width, height) in px."""
    camera = Camera(size)
    for index in range(frames):
        at, after = pose(index / max(frames - 1, 1)), pose((index + 1) / max(frames - 1, 1))
        travel_px = SHUTTER * abs(after.along - at.along) / at.view * size[0]
        sharp, mask = camera.take(at)
        yield expose(sharp, min(travel_px, 0.01 * size[0]), np.random.default_rng([SEED, index])), mask


def write_clip(path: Path, size: tuple[int, int], frames: int, masks: Path | None) -> None:
    """Encode the clip, and every tenth true mask as masks/NNNN.png."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as clip:
        # one thread, so that the same build writes the same bytes
        stream = clip.add_stream("libx264", rate=FPS, options={"crf": "22", "preset": "slow", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # limited
        for index, (picture, mask) in enumerate(render(size, frames)):
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            clip.mux(stream.encode(frame))
            if masks and index % 10 == 0:
                cv2.imwrite(str(masks / f"{index:04d}.png"), mask)
        clip.mux(stream.encode())


def size_px(text: str) -> tuple[int, int]:
    """Parse WIDTHxHEIGHT; both must be even for 4:2:0 video."""
    width, height = (int(part) for part in text.split("x"))
    if min(width, height) < 16 or width % 2 or height % 2:
        raise argparse.ArgumentTypeError(f"{text}: expected even numbers from 16 up, such as 640x480")
    return width, height


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the example clip, and the true masks of it.")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("scan.mp4"))
    parser.add_argument("--masks", type=Path, metavar="DIR", help="write every tenth mask here: 0 other, 1 tooth")
    parser.add_argument("--frames", type=int, default=FRAMES, help="how many to spread the camera's path over")
    parser.add_argument("--size", type=size_px, default=(640, 480), metavar="WxH")
    options = parser.parse_args()
    if options.masks:
        options.masks.mkdir(parents=True, exist_ok=True)
    write_clip(options.output, options.size, options.frames, options.masks)


if __name__ == "__main__":
    main()
