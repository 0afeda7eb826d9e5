import csv
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the benchmark measures TensorFlow graphs"
)


@pytest.fixture(scope="module")
def benchmark():
    return runpy.run_path(str(ROOT / "benchmarks" / "layer.py"))


def test_compares_layers_that_compute_the_same(benchmark):
    inputs = np.random.default_rng(0).normal(size=(2, 7, 5, 3)).astype("float32")
    layer = benchmark["LAYERS"]["coordconv"](4, 3, padding="same")
    concatenation = benchmark["LAYERS"]["concatenation"](4, 3, padding="same")
    outputs = layer(inputs)
    concatenation.build(inputs.shape)
    concatenation.conv.kernel.assign(np.concatenate([layer.kernel, layer.coord_kernel], axis=2))
    np.testing.assert_allclose(outputs, concatenation(inputs), atol=1e-5)


def test_measures_every_layer_in_every_round(benchmark):
    benchmark["measure"].__globals__["SECONDS_A_SIZE"] = 0.05
    for times in benchmark["measure"](2, 6, 4, 2, 3, 1, False).values():
        assert times.shape[1] == len(benchmark["LAYERS"]) == 3
        assert np.all(times > 0)


@pytest.mark.parametrize("name", ["layer", "layer_jax"])
def test_the_guide_has_the_numbers_of_the_table(benchmark, name):
    with (ROOT / "benchmarks" / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(benchmark["SIZES"])
    columns = ("kind", "coordconv_over_plain", "concatenation_over_plain")
    guide = (ROOT / "docs" / "coordconv.md").read_text().splitlines()
    for line in benchmark["summary"]([[row[column] for column in columns] for row in rows]):
        assert line in guide
    forward, step = (
        sum(float(row["coordconv_ms"]) < float(row["concatenation_ms"]) for row in rows if row["kind"] == kind)
        for kind in benchmark["KINDS"]
    )
    said = f"CoordConv2D is the faster at {forward} of 9 sizes forward and at {step} of 9 in training."
    assert said in " ".join(guide)


def test_the_guide_has_the_seconds_of_whole_trainings():
    with (ROOT / "benchmarks" / "training.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    guide = (ROOT / "docs" / "coordconv.md").read_text().splitlines()
    for row in rows:
        assert f"| {row['what']} | {row['seconds_an_epoch']} | {row['times_ours']} |" in guide
