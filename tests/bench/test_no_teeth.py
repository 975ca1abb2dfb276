"""The drawn frames: the same every time, and nothing as pale as teeth in a face but its eyes."""

import numpy as np
import pytest
from bench.no_teeth import SKIN_RGB, drawn_frames


@pytest.fixture(scope="module")
def frames():
    return drawn_frames()


def test_every_kind_is_there_as_frames_of_a_scanner(frames):
    counts = {kind: len(drawn) for kind, drawn in frames.items()}
    of_skin = dict.fromkeys(("skin", "hands", "faces"), len(SKIN_RGB))
    assert counts == {"black": 1, "white": 1, "grey": 1, "noise": 3, **of_skin}
    assert {(frame.shape, frame.dtype.name) for drawn in frames.values() for frame in drawn} == {
        ((480, 640, 3), "uint8")
    }


def test_a_seed_gives_the_same_pixels_again_and_another_seed_others(frames):
    again, other = drawn_frames(), drawn_frames(seed=1)
    for kind, drawn in frames.items():
        assert all(np.array_equal(a, b) for a, b in zip(drawn, again[kind], strict=True))
        if kind not in ("black", "white", "grey"):
            assert not any(np.array_equal(a, b) for a, b in zip(drawn, other[kind], strict=True))


def test_noise_is_uniform(frames):
    counts = np.bincount(np.concatenate([frame.ravel() for frame in frames["noise"]]), minlength=256)
    assert counts.min() > 0.9 * counts.mean()


@pytest.mark.parametrize("kind", ["skin", "hands", "faces"])
def test_skin_goes_from_pale_to_dark(frames, kind):
    middle = [frame[200:280, 280:360].mean() for frame in frames[kind]]
    assert middle == sorted(middle, reverse=True)
    assert middle[0] > 2 * middle[-1]


def test_only_the_whites_of_the_eyes_are_as_pale_in_a_face_as_teeth(frames):
    for frame in frames["faces"][1:]:  # the palest skin is nearly that itself
        face = frame[60:420, 180:460].astype(int)
        pale = (face.min(axis=2) > 150) & (np.ptp(face, axis=2) < 40)
        assert 0 < pale.mean() < 0.03
