"""On PyTorch a Keras layer is an nn.Module: among others, trained by an optimizer of torch, in a state_dict."""

import keras
import numpy as np
import pytest

from coordconv import CoordConv2D

if keras.backend.backend() != "torch":
    pytest.skip("run by `make test-backends`", allow_module_level=True)

import torch
from torch import nn

DEVICE = keras.ops.zeros(1).device  # where Keras puts its weights


def network(seed=0):
    """NCHW. The CoordConv2D is built, so that its weights are there before its first call, under a name that stays."""
    keras.utils.set_random_seed(seed)
    coordconv = CoordConv2D(16, 1, activation="relu", data_format="channels_first", name="coordconv")
    coordconv.build((None, 8, None, None))
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        coordconv,
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 2),
    ).to(DEVICE)


def pixels(number, seed):
    """Images (number, 1, 9, 12) with one pixel lit, and its place from -1 to 1."""
    random = np.random.default_rng(seed)
    places = np.column_stack([random.integers(9, size=number), random.integers(12, size=number)])
    images = np.zeros((number, 1, 9, 12), "float32")
    images[np.arange(number), 0, *places.T] = 1
    return torch.tensor(images, device=DEVICE), torch.tensor(places / [4, 5.5] - 1, dtype=torch.float32, device=DEVICE)


def test_its_weights_are_among_the_parameters():
    model = network()
    assert isinstance(model[2], nn.Module)
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    assert {(1, 1, 8, 16), (1, 1, 2, 16)} <= set(shapes)
    assert len(shapes) == 2 + 3 + 2


def test_trained_saved_and_loaded(tmp_path):
    model = network()
    before = model[2].coord_kernel.numpy().copy()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    images, places = pixels(256, seed=0)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(images), places)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10
    assert np.abs(model[2].coord_kernel.numpy() - before).max() > 0.01

    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = network(seed=1)
    assert not torch.allclose(other(images), model(images))
    other.load_state_dict(torch.load(tmp_path / "model.pt"))
    torch.testing.assert_close(other(images), model(images), rtol=0, atol=0)


def test_coordinates_of_your_own_are_nchw_too():
    layer = network()[2]
    inputs = torch.randn(3, 8, 9, 12, device=DEVICE)
    grid = torch.randn(3, 2, 9, 12, device=DEVICE, requires_grad=True)
    outputs = layer(inputs, coordinates=grid)
    kernel, coord_kernel = (weight.value[0, 0].detach() for weight in (layer.kernel, layer.coord_kernel))
    expected = torch.einsum("bchw,cf->bfhw", inputs, kernel) + torch.einsum("bdhw,df->bfhw", grid, coord_kernel)
    torch.testing.assert_close(outputs, torch.relu(expected), rtol=1e-4, atol=1e-5)
    outputs.sum().backward()
    assert grid.grad.abs().max() > 0
