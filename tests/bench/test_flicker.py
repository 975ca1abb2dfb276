import numpy as np
from bench.flicker import UNKNOWN, flips_fixed, flips_followed, lag_frames, share, there_and_back

STILL, RIGHT = np.eye(3), np.array([[1, 0, 3], [0, 1, 0], [0, 0, 1.0]])  # three pixels a frame


def panning(count=8):
    """Masks and truth of a square that the camera passes."""
    masks = np.zeros((count, 40, 60), np.uint8)
    for i, mask in enumerate(masks):
        mask[10:30, 5 + 3 * i : 25 + 3 * i] = 1
    return masks


def test_a_perfect_mask_of_a_moving_scene_does_not_flicker():
    masks = panning()
    assert share(flips_followed(masks, masks, [RIGHT] * 7)) == 0
    assert share(flips_fixed(masks, masks)) == 0
    assert share(there_and_back(masks, masks, [RIGHT] * 7)) == 0


def test_a_hole_in_one_frame_is_two_flips_of_which_one_is_undone():
    truth = panning()
    masks = truth.copy()
    masks[3, 15:20, 20:25] = 0
    assert sum(some for some, _ in flips_followed(masks, truth, [RIGHT] * 7)) == 2 * 25 - 16  # one has a pixel to spare
    still = np.repeat(truth[:1], 8, axis=0)
    masks = still.copy()
    masks[3, 15:20, 10:15] = 0
    assert sum(some for some, _ in flips_fixed(masks, still)) == 2 * 25
    assert sum(some for some, _ in there_and_back(masks, still, [STILL] * 7)) == 25


def test_cuts_and_what_is_not_known_do_not_count():
    masks = panning()
    masks[4:] = 1 - masks[4:]
    truth = panning()
    assert share(flips_followed(masks, truth, [RIGHT, RIGHT, RIGHT, None, RIGHT, RIGHT, RIGHT])) == 0
    truth[3:5] = UNKNOWN
    assert share(flips_fixed(masks, truth)) == 0


def test_the_lag_is_that_of_changes_that_last():
    plain, steady = np.zeros((2, 30, 4, 5), np.uint8)
    plain[12:], steady[14:] = 1, 1
    plain[8, 0, 0] = 1  # does not last, and spoils the 5 frames before for its pixel
    found = lag_frames(plain, steady, [STILL] * 29)
    assert (found["changes"], found["mean"]) == (19, 2)
