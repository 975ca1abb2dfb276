import pytest

from segrt.runtime.placement import Fit, Rect, place


@pytest.mark.parametrize(
    ("fit", "source", "target"),
    [
        (Fit.STRETCH, Rect(0, 0, 640, 480), Rect(0, 0, 480, 480)),
        (Fit.LETTERBOX, Rect(0, 0, 640, 480), Rect(0, 60, 480, 360)),
        (Fit.CROP, Rect(80, 0, 480, 480), Rect(0, 0, 480, 480)),
    ],
)
def test_a_scanner_frame_is_placed_into_a_square_input(fit, source, target):
    placement = place((480, 640), (480, 480), fit)
    assert (placement.source, placement.target) == (source, target)


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("frame_hw", [(1, 1), (1, 8192), (8192, 1), (4320, 7680), (37, 53)])
def test_both_rectangles_lie_inside_and_are_never_empty(fit, frame_hw):
    placed = place(frame_hw, (31, 480), fit)
    for rect, (height, width) in ((placed.source, frame_hw), (placed.target, (31, 480))):
        assert rect.width >= 1
        assert rect.height >= 1
        assert 0 <= rect.x <= width - rect.width
        assert 0 <= rect.y <= height - rect.height


def test_a_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="0x640"):
        place((0, 640), (480, 480), Fit.CROP)
