"""What the tests of claims need."""

from __future__ import annotations

from pathlib import Path

import pytest

from .toy import make_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one study, which has no rows."""
    return make_root(tmp_path)
