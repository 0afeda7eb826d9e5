"""The example of the guide, with fewer images and epochs."""

import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "locate.py"


@pytest.fixture(scope="module")
def locate():
    return runpy.run_path(str(EXAMPLE))


def test_discs_are_where_the_answers_say(locate):
    images, centres = locate["draw_images"](50, seed=0, corner=False)
    assert images.shape == (50, 48, 64, 1)
    assert not np.any((centres[:, 0] > 24) & (centres[:, 1] > 32))
    at_centres = images[np.arange(50), *np.round(centres).astype(int).T, 0]
    assert np.mean(at_centres) > 0.6 > 3 * np.mean(images)
    _, centres = locate["draw_images"](50, seed=0, corner=True)
    assert np.all(centres > [24, 32])


def test_coordconv_locates_what_pooling_cannot(locate, monkeypatch):
    # Both networks get the same images: drawn once.
    monkeypatch.setitem(locate["errors"].__globals__, "draw_images", cache(locate["draw_images"]))
    (weights, seen, unseen, _), (plain_weights, plain_seen, plain_unseen, _) = (
        locate["errors"](name, seed=1, images=1536, epochs=6) for name in ("coordconv", "pooling")
    )
    assert (weights, plain_weights) == (16_546, 16_546 - 2 * 32)
    assert seen < plain_seen / 2
    assert unseen < plain_unseen / 2


def test_the_guide_has_the_numbers_that_were_measured():
    guide = " ".join((EXAMPLE.parents[1] / "docs" / "coordconv.md").read_text("utf-8").split())
    _, *lines = (EXAMPLE.parent / "locate.txt").read_text("utf-8").splitlines()
    assert len(lines) == 3
    for line in lines:
        _, weights, seen, seen_spread, unseen, unseen_spread, _ = line.split()
        assert f"| {weights} | {seen} px {seen_spread} | {unseen} px {unseen_spread} |" in guide
    long = [line.split() for line in (EXAMPLE.parent / "locate_long.txt").read_text("utf-8").splitlines()[1:]]
    (pooling, flattening, coordconv) = [(row[2], row[3]) for row in long]
    said = "pooling is at {} and {} px, flattening at {} and {}, CoordConv at {} and {}."
    assert said.format(*pooling, *flattening, *coordconv) in guide


def test_prints_a_table(locate, capsys, monkeypatch):
    built = []

    def errors(name, seed, images, epochs):
        built.append(locate["build"](name))
        return built[-1].count_params(), 1.5 + seed, 2.5, 3.0

    monkeypatch.setitem(locate["main"].__globals__, "errors", errors)
    assert locate["main"](seeds=2) == dict.fromkeys(("pooling", "flattening", "coordconv"), (2.0, 2.5))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split() == ["coordconv", "16,546", "2.0", "(1.5-2.5)", "2.5", "(2.5-2.5)", "3"]
    assert {model.output_shape for model in built} == {(None, 2)}
