"""Records: what is logged, in plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of a run when it starts.

    Args:
        experiment: The kind of run; MLflow's experiment is named after it.
        about: What that experiment is.
        name: Its name.
        params: What it is run with.
        tags: What it is found by.
        description: What the run is, in Markdown.
        parent: Id of the run that it is a part of.
    """

    experiment: str
    about: str = ""
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a metric.

    Args:
        name: The metric.
        value: Its value.
        step: When it was measured: an epoch, 0 where there is none.
        seconds: The same in seconds after the start of the run.
        of_network: It was measured on the network that the run ends with.
        data: Name of the dataset that it was measured on, one of the outcome's; of a network's points only.
    """

    name: str
    value: float
    step: int = 0
    seconds: float = 0.0
    of_network: bool = False
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A dataset that a run used.

    Args:
        name: Its name.
        context: What it was used for, as "training".
        source: The file that it came from.
        features: What goes in, (n, ...).
        targets: What should come out, (n, ...).
    """

    name: str
    context: str
    source: str
    features: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A Keras model that a run fitted.

    Args:
        name: Its name.
        description: What it takes and answers.
        path: Its .keras file.
        activation: Keras's name of the function that makes answers of its outputs, "" for none: MLflow keeps the two as
            one model, since who is served wants probabilities and not logits.
        code: Folder of the Python package that its layers come from.
    """

    name: str
    description: str
    path: Path
    activation: str
    code: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run.

    Args:
        digest: Fingerprint of the results; the same results are logged once.
        metrics: Values.
        files: Files and folders, each with the folder of the run's artifacts that it goes to, "" for the top.
        images: Pictures of one thing over time: a key to the pictures by step.
        data: Datasets that were used.
        network: The fitted network.
        seconds: How long the run took; None for one that ends now.
    """

    digest: str = ""
    metrics: Sequence[Point] = ()
    files: Sequence[tuple[Path, str]] = ()
    images: Mapping[str, Mapping[int, Path]] = field(default_factory=dict)
    data: Sequence[Data] = ()
    network: Network | None = None
    seconds: float | None = None
