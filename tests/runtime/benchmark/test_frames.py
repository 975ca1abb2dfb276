from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from segrt import Frame, SourceError
from segrt.runtime.benchmark.frames import PacedSource, load_frames, synthetic

CLIP = Path(__file__).parents[3] / "examples" / "scan.mp4"


def test_synthetic_frames_move_and_come_back_to_where_they_began():
    frames = synthetic((48, 64), 8)
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert not np.array_equal(frames[0], frames[4])
    assert np.array_equal(synthetic((48, 64), 8)[3], frames[3])


def test_a_clips_frames_are_read_and_resized():
    frames = load_frames(str(CLIP), (90, 160), (32, 32))
    assert len(frames) == 64
    assert frames[0].image.shape == (90, 160, 3)
    assert load_frames(str(CLIP), None, (32, 32))[0].image.shape == (480, 640, 3)


def test_without_a_size_synthetic_frames_have_the_networks():
    assert load_frames("synthetic", None, (32, 40))[0].image.shape == (32, 40, 3)


def test_a_source_without_pictures_is_refused(tmp_path):
    with pytest.raises(SourceError):
        load_frames(str(tmp_path), None, (32, 32))


def test_paced_frames_come_when_they_are_due_and_no_earlier():
    start = perf_counter() + 0.01
    source = PacedSource([Frame(np.zeros((4, 4, 3), np.uint8), 0)], 200.0, 5, start)
    for index, frame in enumerate(source):
        assert frame.index == index
        assert perf_counter() >= source.due_s(index) == pytest.approx(start + index / 200)


def test_a_closed_source_gives_no_further_frame():
    source = PacedSource([Frame(None, 0)], 10.0, 100, perf_counter())
    frames = iter(source)
    next(frames)
    source.close()
    assert next(frames, None) is None
