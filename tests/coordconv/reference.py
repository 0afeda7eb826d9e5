"""What the layers of coordconv compute, written in NumPy from the definitions, one output pixel at a time.

Everything is channels_last and float64. Used by the tests of the layers.
"""

import math

import numpy as np


def coordinates(spatial_shape, radius=False, order="ij"):
    """(*spatial, d): -1 at the first pixel of an axis, 1 at the last, 0 on an axis of one pixel."""
    grid = []
    for index in np.ndindex(*spatial_shape):
        pixel = [
            -1 + 2 * i / (length - 1) if length > 1 else 0.0 for i, length in zip(index, spatial_shape, strict=True)
        ]
        distance = [math.hypot(*pixel)] if radius else []
        grid.append((pixel if order == "ij" else pixel[::-1]) + distance)
    return np.reshape(grid, (*spatial_shape, -1))


def concatenate(inputs, radius=False, order="ij", groups=1, grid=None):
    """(batch, *spatial, c + g d): the coordinates, or those of `grid`, after the channels of every group."""
    if grid is None:
        grid = coordinates(inputs.shape[1:-1], radius, order)
    grid = np.broadcast_to(grid, (len(inputs), *inputs.shape[1:-1], grid.shape[-1]))
    parts = np.split(inputs, groups, axis=-1)
    return np.concatenate([channels for part in parts for channels in (part, grid)], axis=-1)


def _padding(length, kernel, stride, padding):
    """(before, after, output length) as TensorFlow defines them; `kernel` is the dilated size."""
    if padding == "valid":
        return 0, 0, (length - kernel) // stride + 1
    if padding == "causal":
        return kernel - 1, 0, (length - 1) // stride + 1
    output = -(-length // stride)
    missing = max((output - 1) * stride + kernel - length, 0)
    return missing // 2, missing - missing // 2, output


def convolve(inputs, kernel, bias=0, strides=None, padding="valid", dilation_rate=None, groups=1):
    """Convolve (batch, *spatial, c) with (*kernel_size, c / g, filters)."""
    rank = inputs.ndim - 2
    strides, dilation = strides or (1,) * rank, dilation_rate or (1,) * rank
    sizes = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    pads = [_padding(*each, padding) for each in zip(inputs.shape[1:-1], sizes, strides, strict=True)]
    inputs = np.pad(inputs, [(0, 0), *[pad[:2] for pad in pads], (0, 0)])
    parts = zip(np.split(inputs, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True)
    groups_outputs = []
    for part, part_kernel in parts:
        outputs = np.zeros((len(inputs), *[pad[2] for pad in pads], part_kernel.shape[-1]))
        for out in np.ndindex(*outputs.shape[1:-1]):
            for tap in np.ndindex(*kernel.shape[:rank]):
                place = tuple(o * s + t * d for o, s, t, d in zip(out, strides, tap, dilation, strict=True))
                outputs[(slice(None), *out)] += part[(slice(None), *place)] @ part_kernel[tap]
        groups_outputs.append(outputs)
    return np.concatenate(groups_outputs, axis=-1) + bias


def convolve_transposed(inputs, kernel, bias=0, strides=None, padding="valid"):
    """Convolve (batch, *spatial, c) transposed, with (*kernel_size, filters, c)."""
    rank = inputs.ndim - 2
    strides = strides or (1,) * rank
    spatial, sizes = inputs.shape[1:-1], kernel.shape[:rank]
    if padding == "same":
        before = [max(k - s, 0) // 2 for k, s in zip(sizes, strides, strict=True)]
        lengths = [n * s for n, s in zip(spatial, strides, strict=True)]
    else:
        before = [0] * rank
        lengths = [(n - 1) * s + max(k, s) for n, s, k in zip(spatial, strides, sizes, strict=True)]
    outputs = np.zeros((len(inputs), *lengths, kernel.shape[-2]))
    for pixel in np.ndindex(*spatial):
        for tap in np.ndindex(*sizes):
            place = tuple(p * s + t - b for p, s, t, b in zip(pixel, strides, tap, before, strict=True))
            if all(0 <= q < length for q, length in zip(place, lengths, strict=True)):
                outputs[(slice(None), *place)] += inputs[(slice(None), *pixel)] @ kernel[tap].T
    return outputs + bias
