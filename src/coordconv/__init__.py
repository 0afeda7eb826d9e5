"""CoordConv layers for Keras 3, on TensorFlow, JAX and PyTorch."""

from coordconv.add_coords import AddCoords, coordinate_grid
from coordconv.convert import convert_model, load_concatenated_kernel
from coordconv.coord_conv import CoordConv1D, CoordConv2D, CoordConv2DTranspose, CoordConv3D

__all__ = [
    "AddCoords",
    "CoordConv1D",
    "CoordConv2D",
    "CoordConv2DTranspose",
    "CoordConv3D",
    "convert_model",
    "coordinate_grid",
    "load_concatenated_kernel",
]
