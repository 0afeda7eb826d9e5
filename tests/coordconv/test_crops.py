"""The example of the guide, with fewer images and epochs."""

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "crops.py"


@pytest.fixture(scope="module")
def crops():
    return runpy.run_path(str(EXAMPLE))


def test_discs_are_where_the_answers_say(crops):
    images, centres, firsts = crops["draw_crops"](50, seed=0)
    assert images.shape == (50, 48, 64, 1)
    assert np.all(firsts >= 0) and np.all(firsts <= [48, 64])
    assert np.all(centres >= 5) and np.all(centres <= [42, 58])
    at_centres = images[np.arange(50), *np.round(centres).astype(int).T, 0]
    assert np.mean(at_centres) > 0.6 > 3 * np.mean(images)


def test_coordinates_are_those_of_the_pixels_in_the_whole_image(crops):
    grid = crops["coordinates_of_the_whole"](np.array([[0, 0], [48, 64], [10, 20]]))
    np.testing.assert_array_equal([grid[0, 0, 0], grid[1, -1, -1]], [[-1, -1], [1, 1]])
    np.testing.assert_allclose(grid[2, 3, 5], [2 * 13 / 95 - 1, 2 * 25 / 127 - 1], atol=1e-6)


def test_a_place_in_the_whole_image_needs_its_coordinates(crops):
    own, whole = (crops["error"](given, of_whole=True, images=512, epochs=6) for given in (False, True))
    assert whole < own / 2


def test_the_guide_has_the_numbers_that_were_measured():
    guide = (EXAMPLE.parents[1] / "docs" / "coordconv.md").read_text("utf-8")
    lines = EXAMPLE.with_suffix(".txt").read_text("utf-8").splitlines()[1:]
    assert len(lines) == 2
    for line in lines:
        *name, in_crop, in_whole = line.split()
        assert f"| {' '.join(name)} | {in_crop} px | {in_whole} px |" in guide
