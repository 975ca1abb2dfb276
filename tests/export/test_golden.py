import cv2
import numpy as np
import pytest
from tests.tiny import colour_spec, stripe_classes, stripes

from segrt import DataError, SourceError
from segrt.export.golden import MAX_SIDE, golden_pictures

SPEC = colour_spec()


@pytest.fixture
def pairs(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for index in range(7):
        cv2.imwrite(str(tmp_path / "images" / f"{index}.png"), stripes(20, 30 + index))
        cv2.imwrite(str(tmp_path / "masks" / f"{index}.png"), stripe_classes(20, 30 + index).astype(np.uint8))
    return tmp_path


def test_a_folder_of_pairs_gives_frames_with_their_truth_evenly_spread(pairs):
    pictures = golden_pictures(pairs, SPEC, 3)
    assert [picture.name for picture in pictures] == ["0", "3", "6"]
    np.testing.assert_array_equal(pictures[1].truth, stripe_classes(20, 33))
    np.testing.assert_array_equal(pictures[1].image, stripes(20, 33))
    assert len(golden_pictures(pairs, SPEC, 50)) == 7


def test_a_folder_of_pictures_gives_frames_without_truth(pairs):
    (pairs / "images" / "3.png").write_bytes(b"damaged")
    pictures = golden_pictures(pairs / "images", SPEC, 3)
    assert [(picture.name, picture.truth) for picture in pictures] == [("0", None), ("6", None)]


def test_a_video_gives_frames_from_all_of_it(tmp_path):
    clip = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for index in range(20):
        clip.write(np.full((48, 64, 3), index * 10, np.uint8))
    clip.release()
    pictures = golden_pictures(tmp_path / "clip.avi", SPEC, 3)
    assert [round(picture.image.mean() / 10) for picture in pictures] == [0, 10, 19]


def test_rendered_frames_are_the_same_each_time_and_differ_from_one_another():
    one, other = golden_pictures(None, SPEC, 2), golden_pictures(None, SPEC, 2)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert a.image.std() > 5
    assert len({picture.image.shape for picture in one}) > 1
    assert len({picture.image.tobytes() for picture in one}) == 2


def test_a_large_photo_is_shrunk_with_its_truth(tmp_path):
    for folder, pixels in (("images", stripes(1000, 4000)), ("masks", stripe_classes(1000, 4000).astype(np.uint8))):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "wide.png"), pixels)
    (picture,) = golden_pictures(tmp_path, SPEC)
    assert picture.image.shape == (MAX_SIDE // 4, MAX_SIDE, 3)
    np.testing.assert_array_equal(picture.truth, stripe_classes(MAX_SIDE // 4, MAX_SIDE))


def test_a_truth_with_unknown_ids_is_refused(pairs):
    cv2.imwrite(str(pairs / "masks" / "0.png"), np.full((20, 30), 9, np.uint8))
    with pytest.raises(DataError, match=r"0\.png: id 9 is none of the 4 classes"):
        golden_pictures(pairs, SPEC)


def test_a_folder_with_nothing_to_see_is_refused(tmp_path):
    with pytest.raises(SourceError, match="has no images: found nothing"):
        golden_pictures(tmp_path, SPEC)
    (tmp_path / "a.png").write_bytes(b"damaged")
    (tmp_path / "b.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match="gives no golden frame"):
        golden_pictures(tmp_path, SPEC)
