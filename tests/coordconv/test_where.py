"""The study of where to put the layer, with fewer of everything; its table is held to the guide in test_guide.py."""

import csv
from pathlib import Path

import numpy as np
import pytest

from coordconv import CoordConv2D


@pytest.fixture
def where(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    import where

    return where


def test_digits_are_where_the_answers_say_and_those_of_the_test_are_others(where):
    images, centres, classes = where.draw_digits(100, seed=0, corner=False, part="training")
    assert images.shape == (100, 48, 64, 1)
    assert not np.any((centres[:, 0] > 24) & (centres[:, 1] > 32))
    for image, (row, column) in zip(images[..., 0], (centres - 7.5).astype(int), strict=True):
        inside = image[row : row + 16, column : column + 16].mean()
        outside = (image.sum() - inside * 256) / (48 * 64 - 256)
        assert inside > 0.15 > 10 * abs(outside)
    assert len(set(classes)) == 10
    _, centres, _ = where.draw_digits(40, seed=0, corner=True, part="test")
    assert np.all(centres > [24, 32])


def test_the_layers_are_where_the_placement_says(where):
    for placement, places in where.PLACEMENTS.items():
        model = where.build("digit", placement, radius=True)
        convolutions = [layer for layer in model.layers if "conv" in layer.name]
        found = [number for number, layer in enumerate(convolutions, start=1) if isinstance(layer, CoordConv2D)]
        assert found == list(places)
        assert all(layer.radius for layer in convolutions if isinstance(layer, CoordConv2D))


def test_a_seed_gives_the_same_after_another(where):
    first, _, again = where.train("digit", "fourth", False, 0.01, seeds=(0, 1, 0), images=64, epochs=2)
    assert first == again


def test_writes_a_row_a_training(where, monkeypatch, tmp_path):
    """One network is trained, on discs; the others get what it measured."""
    monkeypatch.setattr(where, "PLACEMENTS", {"none": (), "fourth": (4,)})
    (disc,) = where.train("disc", "fourth", True, 0.01, (0,), images=64, epochs=1)
    measured = {"disc": disc, "digit": disc | {"seen_class": "0.500", "unseen_class": "0.250"}}
    monkeypatch.setattr(where, "train", lambda task, *_: [measured[task]])
    rows = where.main(rates=(0.01,), seeds=(0,), images=64, epochs=1, path=tmp_path / "where.csv")
    with (tmp_path / "where.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert written == [{name: str(value) for name, value in row.items()} for row in rows]
    assert [row["radius"] for row in written] == ["no", "no", "yes"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["where.csv"]
    lines = where.summary(written)
    assert [line.split(" | ")[0] for line in lines] == ["| none", "| fourth", "| fourth, radius"]


def test_shows_a_network_at_the_rate_that_is_best_for_it(where):
    rows = [
        {"task": "disc", "rate": rate, "seed": seed, "validation_loss": str(loss), "seen_px": "1"}
        for rate, losses in (("0.001", (1, 5)), ("0.01", (2, 2)))
        for seed, loss in enumerate(losses)
    ]
    assert where.best(rows, task="disc") == rows[2:]
