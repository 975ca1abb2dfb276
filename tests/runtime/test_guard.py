from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.runtime.clips import write_video

from segrt import Fit, ModelSpec, PixelFormat, Status, open_source
from segrt.runtime import guard as guards
from segrt.runtime import kernels
from segrt.runtime.guard import Guard
from segrt.runtime.placement import place
from segrt.runtime.spec import GuardSettings

SPEC = ModelSpec((480, 480), ("a", "b"), (127.5,) * 3, (127.5,) * 3)
CLIP = Path(__file__).parents[2] / "examples" / "scan.mp4"
OK, BLACK, FROZEN, SIZE_CHANGED = Status.OK, Status.BLACK, Status.FROZEN, Status.SIZE_CHANGED
LONG = 20
"""Frames at 30 a second after which whatever is still is FROZEN."""


def judged(
    frames: Iterable[np.ndarray], times_s: Sequence[float | None] | None = None, guard: Guard | None = None
) -> list[Status]:
    """The status of each frame of one stream, 30 a second where no times are given."""
    guard, found = guard or Guard(GuardSettings()), []
    for index, image in enumerate(frames):
        size_hw = image.shape[:2]
        if guard.resized(size_hw):
            found.append(SIZE_CHANGED)
            continue
        placement = place(size_hw, SPEC.input_hw, Fit.STRETCH)
        glanced = kernels.glance(image, PixelFormat.BGR, placement, SPEC, guard.kept(placement))
        found.append(guard.judge(glanced, times_s[index] if times_s else index / 30))
    return found


def mouth(seed: int = 0, size_hw: tuple[int, int] = (240, 320)) -> np.ndarray:
    """A picture with large and small shapes."""
    rng = np.random.default_rng(seed)
    coarse, fine = (rng.integers(30, 226, (n, n, 3), np.uint8) for n in (8, 60))
    size = size_hw[::-1]
    return cv2.addWeighted(cv2.resize(coarse, size), 0.7, cv2.resize(fine, size), 0.3, 0)


def noisy(image: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    noise = sigma * np.random.default_rng(seed).standard_normal(image.shape)
    return np.clip(image + noise, 0, 255).round().astype(np.uint8)


def flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((240, 320, 3), colour, np.uint8)


@pytest.fixture(scope="module")
def scan() -> list[np.ndarray]:
    with open_source(CLIP) as source:
        return [frame.image for frame in source if frame.image is not None]


@pytest.mark.parametrize("sigma", [0, 3, 8])
@pytest.mark.parametrize(
    "colour",
    [(0, 0, 0), (16, 16, 16), (255, 255, 255), (200, 20, 10), (0, 135, 0), (90, 90, 90)],
    ids=["black", "video black", "white", "no-signal blue", "decoder's green", "grey"],
)
def test_one_colour_is_no_picture_noise_or_not(colour, sigma):
    assert judged(noisy(flat(colour), sigma, seed) for seed in range(3)) == [BLACK] * 3


def test_one_colour_with_a_line_of_text_is_no_picture():
    image = flat((200, 20, 10))
    cv2.putText(image, "NO SIGNAL", (90, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
    assert judged([image]) == [BLACK]


@pytest.mark.parametrize("gain", [1.0, 0.2, 0.1])
def test_a_dark_mouth_is_not_black_and_not_frozen(gain, scan):
    assert set(judged((image * gain).astype(np.uint8) for image in scan)) == {OK}


def test_a_picture_is_back_with_its_first_frame():
    frames = [mouth(0), flat((0, 0, 0)), flat((0, 0, 0)), mouth(1), mouth(2)]
    assert judged(frames) == [OK, BLACK, BLACK, OK, OK]


def test_the_same_bytes_again_and_again_are_frozen_within_half_a_second(scan):
    found = judged([*scan[:20], *[scan[20]] * LONG, *scan[21:40]])
    first = found.index(FROZEN)
    assert (first - 20) / 30 < 0.5
    assert found == [OK] * first + [FROZEN] * (20 + LONG - first) + [OK] * 19  # over with the first that moves


@pytest.mark.parametrize("crf", [18, 23, 28])
@pytest.mark.parametrize("preset", ["ultrafast", "veryfast"])
def test_a_still_that_is_encoded_again_and_again_is_frozen_whatever_key_frames_change(tmp_path, scan, preset, crf):
    options = {"crf": str(crf), "preset": preset, "tune": "zerolatency"}
    path = write_video(tmp_path / "still.mp4", [scan[60]] * 75, options=options, keyframe_every=30)
    with open_source(path) as source:
        frames = [frame.image for frame in source if frame.image is not None]
    assert any((a != b).any() for a, b in pairwise(frames[40:]))
    found = judged(frames)
    assert found.index(FROZEN) <= 30
    assert set(found[30:]) == {FROZEN}


@pytest.mark.parametrize("gain", [1.0, 0.1])
@pytest.mark.parametrize("sigma", [1, 2, 4])
def test_a_camera_on_a_stand_is_not_frozen_because_it_has_noise(sigma, gain, scan):
    still = scan[60] * gain
    assert set(judged(noisy(still, sigma, seed) for seed in range(2 * LONG))) == {OK}


def test_a_picture_in_which_one_tooth_moves_is_not_frozen(scan):
    def frame(index: int) -> np.ndarray:
        image = scan[60].copy()
        cv2.rectangle(image, (300 + index % 9, 200), (330 + index % 9, 240), (210, 220, 230), -1)
        return image

    assert set(judged(frame(index) for index in range(2 * LONG))) == {OK}


@pytest.mark.parametrize("times", [2, 3, 5])
def test_pictures_that_are_given_several_times_are_not_frozen(times, scan):
    twice = [image for image in scan[:30] for _ in range(times)]
    assert set(judged(twice)) == {OK}
    still = [noisy(scan[60], 2, seed) for seed in range(30) for _ in range(min(times, 3))]
    assert set(judged(still)) == {OK}


def test_few_frames_a_second_are_not_frozen_before_there_are_several():
    found = judged([mouth()] * 12, [float(second) for second in range(12)])
    assert found == [OK] * guards.FEWEST_FRAMES + [FROZEN] * (12 - guards.FEWEST_FRAMES)


def test_noise_alone_ends_a_freeze_with_its_third_frame(scan):
    found = judged([*[scan[60]] * LONG, *(noisy(scan[60], 2, seed) for seed in range(4))])
    assert found[-6:] == [FROZEN, FROZEN, FROZEN, FROZEN, OK, OK]


@pytest.mark.parametrize("times", [[None] * 30, [0.0] * 30, [-index / 30 for index in range(30)]])
def test_where_the_frames_time_does_not_go_on_the_clock_counts(times, monkeypatch):
    clock = iter(1000 + number / 30 for number in range(100))
    monkeypatch.setattr(guards, "perf_counter", lambda: next(clock))
    found = judged([mouth()] * 30, times)
    assert found.index(FROZEN) in (12, 13)
    assert set(found[13:]) == {FROZEN}


def test_the_first_frame_of_another_size_has_that_status_and_the_next_are_good():
    frames = [*(mouth(seed) for seed in range(3)), *(mouth(seed, (120, 160)) for seed in range(3)), mouth(7)]
    assert judged(frames) == [OK, OK, OK, SIZE_CHANGED, OK, OK, SIZE_CHANGED]


def test_a_frozen_picture_of_a_new_size_is_frozen_again_only_after_a_while():
    found = judged([*[mouth()] * LONG, *[mouth(0, (120, 160))] * LONG])
    assert found[LONG - 1 : LONG + 5] == [FROZEN, SIZE_CHANGED, OK, OK, OK, OK]
    assert found[-1] is FROZEN


def test_after_a_reset_nothing_of_the_frames_before_counts():
    guard = Guard(GuardSettings())
    assert judged([mouth()] * LONG, guard=guard)[-1] is FROZEN
    guard.reset()
    assert set(judged([mouth(0, (120, 160))] * 5, guard=guard)) == {OK}


def test_an_input_of_few_cells_is_never_called_black():
    guard, spec = Guard(GuardSettings()), ModelSpec((64, 64), ("a", "b"), (0.0,) * 3, (1.0,) * 3)
    placement = place((240, 320), (64, 64), Fit.STRETCH)
    glanced = kernels.glance(flat((0, 0, 0)), PixelFormat.BGR, placement, spec, guard.kept(placement))
    assert guard.judge(glanced) is OK


def test_settings_decide():
    def first_bad(settings: GuardSettings, frames: list[np.ndarray]) -> int | None:
        found = judged(frames, guard=Guard(settings))
        return next((index for index, status in enumerate(found) if status is not OK), None)

    assert first_bad(GuardSettings(frozen_s=1.0), [mouth()] * 45) == 30
    assert first_bad(GuardSettings(flat_share=0), [flat((0, 0, 0))] * 3) == 0
    assert first_bad(GuardSettings(flat_level=60, flat_share=0.9), [mouth()]) == 0


@pytest.mark.data
@pytest.mark.parametrize("gain", [1.0, 0.2])
def test_no_frame_of_a_real_clip_raises_a_false_alarm(gain, data_dir):
    clips = sorted(path for path in (data_dir / "videos").iterdir() if path.is_file())
    assert len(clips) >= 9
    for path in clips:
        with open_source(path) as source:
            frames = [frame for frame in source if frame.image is not None]
        images = ((frame.image * gain).astype(np.uint8) for frame in frames)
        assert set(judged(images, [frame.time_s for frame in frames])) == {OK}, path.name


@pytest.mark.data
@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_no_real_photo_is_called_black_not_even_at_a_tenth_of_its_light(gain, data_dir):
    for path in sorted((data_dir / "dental" / "val" / "images").iterdir()):
        assert judged([(cv2.imread(str(path)) * gain).astype(np.uint8)]) == [OK], path.name
