"""A fixture for all tests of the layer; `make test-backends` runs them without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _not_deterministic() -> Iterator[None]:
    """Turn off the determinism that a training of the study turns on: with it Keras ignores jit_compile."""
    from tensorflow.python.framework import config

    deterministic = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    yield
    if deterministic:
        config.enable_op_determinism()
