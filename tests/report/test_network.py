"""The networks of the page: what is read from a .keras file. test_page_browser.py has what the page makes of them."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from notsoclevr.cells.files import Cell
from notsoclevr.cells.matrix import load_matrix
from notsoclevr.report import page
from notsoclevr.report.page import network

from .. import fabricated

Written = tuple[Path, list[Cell]]


def of(written: Written, model: str) -> Cell:
    return next(cell for cell in written[1] if cell.name == f"{model}-quadrant")


def test_the_networks_that_are_told_where_they_are_have_16012_weights(written: Written) -> None:
    models = ("coordconv_classifier", "coordconv_regressor", "coordconv_painter")
    networks = [network.load(of(written, model)) for model in models]
    assert [network.size(layers) for layers in networks] == [7553, 906, 7553]
    assert network.channels(networks) == ["row", "column"]
    asked = [page._network(of(written, model), layers) for model, layers in zip(models, networks, strict=True)]
    assert [each["given"] for each in asked] == [None, 0, None]
    kinds = [[layer["kind"] for layer in layers] for layers in networks]
    assert kinds == [
        ["scale", "tile", *["convolve"] * 5],
        ["scale", *["convolve"] * 5, "pool"],
        ["scale", "tile", *["convolve"] * 5],
    ]
    text = written[0].read_text("utf-8")
    assert "16,012 numbers per split" in text
    assert "data-unread" not in text


def test_weights_are_those_of_the_file(written: Written) -> None:
    cell = of(written, "coordconv_regressor")
    layers = [layer for layer in network.load(cell) if "kernel" in layer]
    trained = [layer for layer in keras.saving.load_model(cell.directory / "model.keras").layers if layer.weights]
    for read, layer in zip(layers, trained, strict=True):
        np.testing.assert_array_equal(read["bias"], layer.bias)
        channels = layer.kernel.shape[-2]
        np.testing.assert_array_equal(read["kernel"][:, :, :channels].reshape(layer.kernel.shape), layer.kernel)
    np.testing.assert_array_equal(layers[0]["kernel"][:, :, 1:], trained[0].coord_kernel)


@pytest.mark.parametrize("model", ["deconv_painter", "strided_regressor"])
def test_a_network_of_other_layers_is_refused(written: Written, model: str) -> None:
    with pytest.raises(network.UnknownLayerError):
        network.load(of(written, model))


def test_small_coordinate_filters_lie_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = "coordconv_regressor"
    fabricated.change(monkeypatch, model, coordinate_layers="every", radius=True, separate_coordinates=True)
    layers = network.load(fabricated.fabricate(tmp_path, model, epochs=1))
    assert network.channels([layers]) == ["row", "column", "radius"]
    last = [layer for layer in layers if layer["kind"] == "convolve"][-1]
    assert last["kernel"].shape == (3, 3, 8 + 3, 2)
    own = last["kernel"][:, :, 8:]
    assert own[1, 1].all()
    own[1, 1] = 0
    assert not own.any()


def test_a_dense_layer_on_features_of_the_whole_canvas_is_refused(tmp_path: Path) -> None:
    cell = fabricated.fabricate(tmp_path, "coordconv_regressor", epochs=1)
    inputs = keras.Input((64, 64, 1))
    keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling2D()(inputs))).save(
        cell.directory / "model.keras"
    )
    with pytest.raises(network.UnknownLayerError, match="Dense"):
        network.load(cell)


def test_a_network_that_merges_layers_or_does_not_name_them_is_refused(tmp_path: Path) -> None:
    cell = fabricated.fabricate(tmp_path, "coordconv_regressor", epochs=1)
    inputs = keras.Input((64, 64, 1))
    merged = keras.layers.Add()([keras.layers.Conv2D(1, 1)(inputs), inputs])
    for model in (keras.Model(inputs, merged), keras.Sequential([inputs, keras.layers.Conv2D(1, 1)])):
        model.save(cell.directory / "model.keras")
        with pytest.raises(network.UnknownLayerError):
            network.load(cell)


def test_a_factor_for_each_channel_is_refused(tmp_path: Path) -> None:
    cell = fabricated.fabricate(tmp_path, "coordconv_regressor", epochs=1)
    inputs = keras.Input((64, 64, 1))
    keras.Model(inputs, keras.layers.Rescaling([2.0])(inputs)).save(cell.directory / "model.keras")
    with pytest.raises(network.UnknownLayerError, match="factor"):
        network.load(cell)


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_a_network_that_cannot_be_read_is_named(tmp_path: Path, how: str) -> None:
    cell = fabricated.fabricate(tmp_path / "results", "coordconv_regressor", epochs=1)
    path = cell.directory / "model.keras"
    content = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(content[:5000])
    cells, _ = load_matrix(tmp_path / "results", fabricated.CONFIG)
    page.write(tmp_path / "index.html", cells)
    text = (tmp_path / "index.html").read_text("utf-8")
    reason = {"missing": "FileNotFoundError", "cut": "BadZipFile"}[how]
    assert f"The network of {cell.name} cannot be shown: model.keras cannot be read ({reason})" in text
    assert 'name="asked"' not in text
