"""What the tests of the layer get besides. Nothing they need: `make test-backends` runs them without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _not_deterministic() -> Iterator[None]:
    """Turn off for a test what a training of the study has turned on in its process: Keras compiles nothing with it."""
    from tensorflow.python.framework import config

    deterministic = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    yield
    if deterministic:
        config.enable_op_determinism()
