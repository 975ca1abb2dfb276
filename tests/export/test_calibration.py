import cv2
import numpy as np
import pytest
from tests.tiny import colour_spec

from segrt import DataError
from segrt.export.calibration import Calibration
from segrt.runtime.placement import Fit

SPEC = colour_spec((32, 32), fit=Fit.LETTERBOX)


@pytest.mark.parametrize("inside", ["", "images"])
def test_pictures_are_fitted_and_normalised_as_the_spec_says(tmp_path, inside):
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "a.png"), np.full((8, 16, 3), (0, 0, 255), np.uint8))
    batches = Calibration(tmp_path, SPEC)
    assert len(batches) == 1
    for _ in range(2):  # more than one way through
        (batch,) = batches
        assert batch.shape == (1, 3, 32, 32)
        np.testing.assert_allclose(batch[0, :, 16, 16], [1, -1, -1])  # red, in the order of the spec: RGB
        np.testing.assert_allclose(batch[0, :, 0, 0], 0, atol=0.01)  # the mean, around a letterboxed picture


def test_of_many_pictures_some_are_taken_evenly(tmp_path):
    for index in range(11):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((4, 4, 3), np.uint8))
    assert [path.stem for path in Calibration(tmp_path, SPEC, 3).paths] == ["0", "5", "10"]
    assert len(Calibration(tmp_path, SPEC, 100)) == 11


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        Calibration(tmp_path / "absent", SPEC)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match=r"has no calibration pictures: found no file ending in \.png"):
        Calibration(tmp_path, SPEC)


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png is empty"):
        list(Calibration(tmp_path, SPEC))
