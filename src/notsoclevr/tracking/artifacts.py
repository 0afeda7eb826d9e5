"""What a run holds beside numbers: pictures, the examples that it has used, and a network that can be served."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from notsoclevr.tracking.records import Data, Network

LOGGED_MODEL = "logged_model"  # the name of a network among the outputs of its run


def load_pixels(path: Path) -> npt.NDArray[np.uint8]:
    """Return a picture as MLflow takes it, uint8 (height, width, 3)."""
    from matplotlib.image import imread

    pixels: npt.NDArray[np.uint8] = (imread(path)[..., :3] * 255).astype(np.uint8)
    return pixels


def log_data(data: Data) -> None:
    """Log examples to the run that is open, as what it has used."""
    import mlflow.data.numpy_dataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the source: a file of ours is no source that MLflow could fetch from
        used = mlflow.data.numpy_dataset.from_numpy(
            data.features, targets=data.targets, source=data.source, name=data.name
        )
        mlflow.log_input(used, context=data.context)


def log_network(network: Network) -> None:
    """Log a Keras model to the run that is open, with its signature, what it needs, and the code of its layers."""
    from importlib.metadata import version

    import keras
    import mlflow
    from mlflow.models import infer_signature

    model = keras.saving.load_model(network.path, compile=False)
    if network.activation:
        model = keras.Model(model.input, keras.layers.Activation(network.activation, name="answer")(model.output))
    example = np.zeros((1, *model.input_shape[1:]), np.float32)
    mlflow.tensorflow.log_model(
        model,
        name=LOGGED_MODEL,
        signature=infer_signature(example, np.asarray(model(example))),
        pip_requirements=[f"{name}=={version(name)}" for name in ("keras", "numpy", "tensorflow")],
        code_paths=[str(network.code)],
    )
