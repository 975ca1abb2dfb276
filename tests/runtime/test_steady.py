import numpy as np
import pytest
from tests.tiny import colour_spec

from segrt import Fit, Frame, FrameError, Segmenter, Status
from segrt.runtime.engines import FakeEngine
from segrt.runtime.placement import Rect, place
from segrt.runtime.steady import Steady, seen_cells

SPEC = colour_spec((8, 8), class_names=("dark", "bright"), palette=())
DIM = 15  # nats of "bright" are (grey - 120) / DIM: a frame of 120 + DIM says bright by 1


def brightness(batch):
    """One cell a pixel: bright above 120; a frame that begins with 13 gives NaN."""
    grey = batch[0, :, :, 0].astype(np.float32)
    logits = np.stack([np.zeros_like(grey), (grey - 120) / DIM])
    if grey[0, 0] == 13:
        logits[1, 2, 3] = np.nan
    return logits[None]


def opened(steady=True):
    return Segmenter(FakeEngine(brightness, (8, 8)), SPEC, steady=steady)


def grey(level, height=8, width=8):
    return np.full((height, width, 3), level, np.uint8)


def class_of(result):
    assert result.status is Status.OK
    (only,) = np.unique(result.mask)
    return int(only)


def classes(segmenter, levels):
    return [class_of(segmenter(grey(level))) for level in levels]


FLICKERING = [130, 118, 122, 118, 122, 118, 122]


def test_without_it_every_frame_stands_for_itself():
    with opened(steady=False) as segmenter:
        assert classes(segmenter, FLICKERING) == [1, 0, 1, 0, 1, 0, 1]


def test_small_changes_back_and_forth_do_not_flicker():
    with opened() as segmenter:
        assert classes(segmenter, FLICKERING) == [1] * 7


def test_a_small_change_that_stays_is_believed_after_some_frames():
    with opened() as segmenter:
        found = classes(segmenter, [130, *[116] * 9])  # from 0.67 nats for bright to 0.27 for dark
    assert found == [1] * 2 + [0] * 8


def test_a_clear_change_is_believed_at_once_and_is_a_cut_if_it_is_everywhere():
    with opened() as segmenter, opened(steady=False) as without:
        assert classes(segmenter, [160, 119, 160]) == [1, 0, 1]
        assert segmenter(grey(119)).confidence == without(grey(119)).confidence


@pytest.mark.parametrize(
    "between",
    [
        lambda segmenter: segmenter.reset(),
        lambda segmenter: segmenter(Frame(None, 1, status=Status.CORRUPT)),
        lambda segmenter: segmenter(Frame(grey(130), 1, status=Status.CORRUPT)),
        lambda segmenter: segmenter(grey(13)),  # INVALID
        lambda segmenter: segmenter(grey(130, 16, 8)),  # another size
        lambda segmenter: segmenter(grey(130), fit=Fit.CROP) and segmenter(grey(130, 9, 8), fit=Fit.CROP),
    ],
    ids=["reset", "corrupt", "corrupt with a picture", "invalid", "size", "fit"],
)
def test_it_begins_anew_after(between):
    with opened() as segmenter, opened(steady=False) as without:
        segmenter(grey(130))
        between(segmenter)
        assert segmenter(grey(118)).confidence == without(grey(118)).confidence
        assert class_of(segmenter(grey(118))) == 0


def test_a_nan_is_counted_and_never_remembered():
    with opened() as segmenter:
        segmenter(grey(130))
        invalid = segmenter(grey(13))
        assert (invalid.status, invalid.mask, invalid.nonfinite) == (Status.INVALID, None, 1)
        assert classes(segmenter, [118, 122, 118]) == [0, 0, 0]


def test_two_segmenters_share_nothing():
    with opened() as one, opened() as other:
        assert class_of(one(grey(130))) == 1
        assert class_of(other(grey(118))) == 0
        assert class_of(one(grey(118))) == 1


def test_logits_that_do_not_fit_are_refused():
    placement = place((8, 8), (8, 8), Fit.STRETCH)
    with pytest.raises(FrameError, match=r"logits must be \(1, classes, height, width\) float32 or float16"):
        Steady()(np.zeros((2, 8, 8)), placement)


@pytest.mark.parametrize(
    ("frame_hw", "fit", "seen"),
    [
        ((480, 640), Fit.STRETCH, Rect(0, 0, 120, 120)),
        ((480, 640), Fit.LETTERBOX, Rect(0, 15, 120, 90)),
        ((640, 480), Fit.CROP, Rect(0, 0, 120, 120)),
        ((33, 480), Fit.LETTERBOX, Rect(0, 55, 120, 9)),
        ((1, 480), Fit.LETTERBOX, Rect(0, 59, 120, 1)),
    ],
)
def test_the_cells_that_show_the_frame(frame_hw, fit, seen):
    assert seen_cells(place(frame_hw, (480, 480), fit), (120, 120)) == seen
