from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from notsoclevr.claims import ramps
from notsoclevr.dataset import Dataset

HEIGHT, WIDTH = 5, 8


@pytest.fixture
def everywhere() -> tuple[Any, Any]:
    """Every pixel of a rectangle: its coordinate, and the image in which it alone is lit."""
    coordinates = np.array([(row, column) for row in range(HEIGHT) for column in range(WIDTH)])
    return coordinates, np.eye(HEIGHT * WIDTH).reshape(-1, HEIGHT, WIDTH)


def test_the_worked_example() -> None:
    image = np.array([[[0, 0, 0], [0, 0, 1]]])
    assert ramps.to_coordinates(image).tolist() == [[1, 2]]
    assert ramps.to_onehots(np.array([[1, 2]]), 2, 3).tolist() == image.tolist()


def test_exact_at_every_pixel_of_a_rectangle(everywhere: tuple[Any, Any]) -> None:
    coordinates, images = everywhere
    assert ramps.to_coordinates(images).tolist() == coordinates.tolist()
    np.testing.assert_array_equal(ramps.to_onehots(coordinates, HEIGHT, WIDTH), images)


def test_exact_at_every_position_of_the_dataset(full: Dataset) -> None:
    assert len(full) == 3136
    np.testing.assert_array_equal(ramps.to_coordinates(full.onehots), full.coordinates)
    np.testing.assert_array_equal(ramps.to_onehots(full.coordinates, 64, 64), full.onehots)
    assert ramps.exact_shares(full) == {"regression": 1.0, "classification": 1.0}


def test_shares_see_a_wrong_answer(full: Dataset) -> None:
    few = full[np.arange(4)]
    wrong = Dataset(coordinates=few.coordinates[[1, 1, 2, 3]], onehots=few.onehots, squares=few.squares)
    assert ramps.exact_shares(wrong) == {"regression": 0.75, "classification": 0.75}
