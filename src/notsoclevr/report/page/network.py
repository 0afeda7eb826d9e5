"""A trained network as the page computes it: its layers in order, with their weights, read from its .keras file.

A .keras file is a zip of config.json, which says what the layers are, and model.weights.h5. Both are read without
Keras, which would import TensorFlow.

The page knows four kinds of layers:

scale      values times `factor`, plus `offset`
tile       the two numbers repeated at every pixel
convolve   an odd square kernel, zeros beyond the edges; `coordinates` names the channels appended before, which run
           from -1 at the first pixel to 1 at the last. A dense layer on pixels is a kernel of one pixel
pool       the "max" or the "average" of each channel over the canvas
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt

from notsoclevr.cells.files import Cell
from notsoclevr.dataset import CANVAS

Layer = dict[str, Any]
Arrays = Mapping[str, npt.NDArray[np.float32]]


class UnknownLayerError(Exception):
    """A network has a layer that the page does not compute."""


def load(cell: Cell) -> list[Layer]:
    """Load the network of a cell.

    Args:
        cell: The cell.

    Returns:
        Its layers, in order, with arrays for weights: "kernel" (k, k, c, filters) and "bias" (filters,).

    Raises:
        UnknownLayerError: It has a layer, or an order of layers, that the page does not compute.
        Exception: Of any kind: its file is not there, or damaged.
    """
    with ZipFile(cell.directory / "model.keras") as file:
        config = json.loads(file.read("config.json"))["config"]
        weights = _weights(file.read("model.weights.h5"))
    layers = [_layer(entry, weights.get(entry["config"]["name"], {})) for entry in _chain(config)]
    return [layer for layer in layers if layer]


def _weights(content: bytes) -> dict[str, Arrays]:
    """Return the arrays of each layer, by its name."""
    import h5py

    with h5py.File(io.BytesIO(content)) as file:
        groups = [layer["vars"] for layer in file["layers"].values()]
        return {group.attrs["name"]: {name: np.asarray(array) for name, array in group.items()} for group in groups}


def _chain(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the layers of a model from its input to its output, each of which takes what the one before gives."""
    before = None
    for entry in config["layers"]:
        name, nodes = entry["config"]["name"], entry.get("inbound_nodes")
        if nodes is None:
            raise UnknownLayerError(f"the layers before {name} are not named")  # of a Sequential model
        taken = [argument for node in nodes for argument in node["args"]]
        # a layer that merges others takes a list of them
        sources = [one["config"]["keras_history"][0] for one in taken if isinstance(one, dict)]
        if sources != ([] if before is None else [before]) or len(sources) < len(taken):
            raise UnknownLayerError(f"{name} takes {sources}")
        before = name
    return list(config["layers"])


def _layer(entry: Mapping[str, Any], weights: Arrays) -> Layer | None:
    """Return a layer as the page computes it, None for one that leaves the numbers as they are."""
    kind = entry["class_name"]
    # a dense layer has to stand on pixels: of features of the whole canvas the page computes none
    if kind not in KINDS or (kind == "Dense" and len(entry["build_config"]["input_shape"]) == 2):
        raise UnknownLayerError(f"{kind} {entry['config']['name']}")
    return KINDS[kind](entry["config"], weights)


def _same(config: Mapping[str, Any], weights: Arrays) -> None:
    """Take an input, or a new shape for the same numbers in the same order."""


def _scale(config: Mapping[str, Any], weights: Arrays) -> Layer:
    if not all(isinstance(config[name], int | float) for name in ("scale", "offset")):
        raise UnknownLayerError(f"{config['name']} scales each channel by a factor of its own")
    return {"kind": "scale", "factor": float(config["scale"]), "offset": float(config["offset"])}


def _tile(config: Mapping[str, Any], weights: Arrays) -> Layer:
    if config["n"] != CANVAS * CANVAS:
        raise UnknownLayerError(f"{config['name']} repeats {config['n']} times")
    return {"kind": "tile"}


def _dense(config: Mapping[str, Any], weights: Arrays) -> Layer:
    return _convolve(config, weights, weights["0"][None, None], ())


def _convolution(config: Mapping[str, Any], weights: Arrays) -> Layer:
    kernel, names = weights["0"], ()
    plain = {"strides": [1, 1], "dilation_rate": [1, 1], "groups": 1, "data_format": "channels_last"}
    size = config["kernel_size"][0]
    if any(config[name] != value for name, value in plain.items()) or config["kernel_size"] != [size, size]:
        raise UnknownLayerError(f"{config['name']} is no plain convolution")
    if size % 2 == 0 or (size > 1 and config["padding"] != "same"):
        raise UnknownLayerError(f"{config['name']} has a kernel of {size} and the padding {config['padding']}")
    if "coord_kernel" in weights:
        names = ("row", "column")[:: 1 if config["order"] == "ij" else -1] + ("radius",) * config["radius"]
        own = weights["coord_kernel"]
        around = (size - own.shape[0]) // 2  # a smaller filter lies in the middle of the window
        own = np.pad(own, [(around, size - own.shape[0] - around)] * 2 + [(0, 0)] * 2)
        kernel = np.concatenate([kernel, own], axis=2)
    return _convolve(config, weights, kernel, names)


def _convolve(
    config: Mapping[str, Any], weights: Arrays, kernel: npt.NDArray[np.float32], coordinates: Sequence[str]
) -> Layer:
    if config["activation"] not in ("linear", "relu"):
        raise UnknownLayerError(f"{config['name']} has the activation {config['activation']}")
    bias = weights["1"] if config["use_bias"] else np.zeros(kernel.shape[-1], np.float32)
    return {
        "kind": "convolve",
        "size": kernel.shape[0],
        "filters": kernel.shape[-1],
        "coordinates": list(coordinates),
        "activation": config["activation"],
        "kernel": kernel,
        "bias": bias,
    }


def _pool(by: str) -> Callable[[Mapping[str, Any], Arrays], Layer]:
    return lambda config, weights: {"kind": "pool", "by": by}


# By the name of the class in Keras.
KINDS: Mapping[str, Callable[[Mapping[str, Any], Arrays], Layer | None]] = {
    "InputLayer": _same,
    "Reshape": _same,
    "Flatten": _same,
    "Rescaling": _scale,
    "RepeatVector": _tile,
    "Dense": _dense,
    "Conv2D": _convolution,
    "CoordConv2D": _convolution,
    "GlobalMaxPooling2D": _pool("max"),
    "GlobalAveragePooling2D": _pool("average"),
}


def channels(networks: Iterable[Sequence[Layer]]) -> list[str]:
    """Return the names of the coordinate channels that some networks have, each once."""
    return list(dict.fromkeys(name for layers in networks for layer in layers for name in layer.get("coordinates", ())))


def size(layers: Sequence[Layer]) -> int:
    """Return how many weights a network has."""
    return sum(layer[name].size for layer in layers for name in ("kernel", "bias") if name in layer)
