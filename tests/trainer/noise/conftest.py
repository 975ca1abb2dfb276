"""A picture to draw again: ground, a house with a window, a bush of its colour, three balls, and an unknown corner."""

import cv2
import numpy as np
import pytest

COLOURS = np.array([(160, 140, 120), (60, 90, 160), (60, 120, 60), (40, 40, 200)], np.uint8)  # BGR by class


def _scene(size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    height, width = size_hw
    mask = np.zeros(size_hw, np.uint8)
    cv2.rectangle(mask, (width // 8, height // 4), (width // 2, height - 1), 1, -1)
    cv2.rectangle(mask, (width // 4, height // 2), (width // 3, 2 * height // 3), 0, -1)
    cv2.ellipse(mask, (2 * width // 3, 3 * height // 4), (width // 5, height // 5), 0, 0, 360, 2, -1)
    for centre in (0.65, 0.78, 0.91):
        cv2.circle(mask, (int(centre * width), height // 4), height // 16, 3, -1)
    mask[: height // 10, : width // 10] = 255
    rng = np.random.default_rng(0)
    image = COLOURS[np.minimum(mask, 3)].astype(int) + rng.integers(-12, 12, (*size_hw, 3))
    return mask, np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A mask (240, 320) of classes 0 ground, 1 house, 2 bush, 3 ball, and 255; and its image."""
    return _scene((240, 320))


@pytest.fixture(scope="session")
def large_scene() -> tuple[np.ndarray, np.ndarray]:
    """The same at twice the size."""
    return _scene((480, 640))
