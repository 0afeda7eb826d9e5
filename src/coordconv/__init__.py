"""CoordConv layers for Keras 3, on every Keras backend."""

from coordconv.add_coords import AddCoords
from coordconv.coord_conv import CoordConv2D

__all__ = ["AddCoords", "CoordConv2D"]
