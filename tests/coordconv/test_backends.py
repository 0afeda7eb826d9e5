"""The backends agree. Run by `make test-backends`, which has an environment with JAX and PyTorch."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif("BACKENDS_PYTHON" not in os.environ, reason="run by `make test-backends`")
def test_backends_agree_to_the_fifth_digit(tmp_path):
    other = os.environ["BACKENDS_PYTHON"]
    interpreters = {"tensorflow": sys.executable, "jax": other, "torch": other}
    results = {}
    for backend, python in interpreters.items():
        environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT / "src")}
        file = tmp_path / f"{backend}.npz"
        script = ROOT / "tests" / "coordconv" / "outputs.py"
        subprocess.run([python, script, file], env=environment, check=True)
        results[backend] = dict(np.load(file))
    assert len(results["tensorflow"]) == 2 * 8 * 5 + 5  # those of a converted model
    for one, another in itertools.combinations(results, 2):
        assert results[one].keys() == results[another].keys()
        for name, array in results[one].items():
            np.testing.assert_allclose(
                array, results[another][name], rtol=0, atol=1e-5, err_msg=f"{one}, {another}: {name}"
            )
