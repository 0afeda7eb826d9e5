from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb

from notsoclevr.cells.figures import RIGHT, map_image
from notsoclevr.splits import Quadrant

from ..fabricated import fabricate


def test_the_map_shows_each_position_where_it_is(tmp_path: Path) -> None:
    """On a split that looks another way in a mirror, and across its diagonal."""
    cell = fabricate(tmp_path, "deconv_painter", Quadrant(corner="upper_right", boundary=20), fails=True)
    image = map_image(cell).astype(int)
    assert image.shape == (56, 56, 3)
    tested = np.zeros((56, 56), bool)
    tested[: 20 - 4, 20 - 4 :] = True  # by the centres, of which the first is 4
    right = np.array(to_rgb(RIGHT)) * 255
    trained_on = image[~tested]
    assert (trained_on == trained_on[0]).all()
    assert np.abs(trained_on[0] - right).max() > 50  # paler
    assert (image[tested][:, 0] > image[tested][:, 2]).all()  # wrong: red rather than blue
