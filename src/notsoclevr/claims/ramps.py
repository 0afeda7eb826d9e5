"""The coordinate transform without training: ramps that are written down, and ReLU.

A network with nothing to learn, beside the CoordConv regressor and its 906 weights. On a canvas of 2 rows, 3 columns:

    images[0] = [[0, 0, 0],
                 [0, 0, 1]]      the lit pixel is in row 1, column 2

    ramp of the rows    = [0, 1]        a weight per row:    0 * 0 + 1 * 1         = 1
    ramp of the columns = [0, 1, 2]     a weight per column: 0 * 0 + 1 * 0 + 2 * 1 = 2
    to_coordinates(images)[0] -> [1, 2]

And back: three ReLU ramps make a roof over each row, 1 on it and 0 on every other, and the same over each column; a
pixel is lit where both roofs stand.

    roofs of the rows at 1 = [0, 1]     roofs of the columns at 2 = [0, 0, 1]
    to_onehots([[1, 2]], 2, 3)[0] -> [[0, 0, 0],
                                      [0, 0, 1]]

Source: F. Piekniewski, Autopsy of a deep learning paper, blog.piekniewski.info, 14 July 2018: fixed ReLU ramps give the
coordinate of a lit pixel. The way back is built here in the same manner.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from notsoclevr.dataset import Dataset
from notsoclevr.tasks import Floats


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0)


def to_coordinates(images: npt.NDArray[Any]) -> Floats:
    """Return the place of the lit pixel of each image.

    Args:
        images: (n, h, w), of any height and width; one pixel of each is 1, the others are 0.

    Returns:
        (row, column) in pixels, float32 (n, 2), exact.
    """
    images = np.asarray(images, np.float32)
    axes = (images.sum(axis=2), images.sum(axis=1))  # (n, h) and (n, w): the pixel seen from the side and from above
    return _relu(np.stack([seen @ np.arange(seen.shape[1], dtype=np.float32) for seen in axes], axis=1))


def _roofs(positions: Floats, length: int) -> Floats:
    """Return for each of `length` pixels 1 if the position is there, 0 if it is another's: (n,) -> (n, length)."""
    x = positions[:, None] - np.arange(length, dtype=np.float32)
    return _relu(x + 1) - 2 * _relu(x) + _relu(x - 1)


def to_onehots(coordinates: npt.NDArray[Any], height: int, width: int) -> Floats:
    """Return images in which the pixel at each coordinate is lit.

    Args:
        coordinates: (row, column) in whole pixels, (n, 2).
        height: Rows of the canvas.
        width: Its columns.

    Returns:
        float32 (n, height, width): 1 at the coordinate, 0 elsewhere, exact.
    """
    coordinates = np.asarray(coordinates, np.float32)
    rows, columns = _roofs(coordinates[:, 0], height), _roofs(coordinates[:, 1], width)
    return _relu(rows[:, :, None] + columns[:, None, :] - 1)  # both roofs: 1; one: 0; none: below, cut to 0


def exact_shares(examples: Dataset) -> dict[str, float]:
    """Compute the share of examples that the ramps answer exactly.

    Args:
        examples: The dataset, (n, h, w).

    Returns:
        A share a task: "regression", pixel to coordinate, and "classification", coordinate to pixel.
    """
    _, height, width = examples.onehots.shape
    points = to_coordinates(examples.onehots) == examples.coordinates
    pixels = to_onehots(examples.coordinates, height, width) == examples.onehots
    return {
        "regression": float(points.all(axis=1).mean()),
        "classification": float(pixels.all(axis=(1, 2)).mean()),
    }
