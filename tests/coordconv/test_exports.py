"""What Keras exports: the outputs of the file, in its own runtime, are those of the layer.

SavedModel and LiteRT need TensorFlow, ONNX what tests/coordconv/backends.txt names besides: `make test-backends`.
"""

import importlib.util

import keras
import numpy as np
import pytest
from cases import normal

from coordconv import CoordConv1D, CoordConv2D, CoordConv2DTranspose, CoordConv3D

BACKEND = keras.backend.backend()
CASES = {
    "1d": (CoordConv1D, (9,), {"padding": "causal"}),
    "2d": (CoordConv2D, (9, 6), {"padding": "same", "radius": True}),
    "2d, a smaller coordinate filter": (CoordConv2D, (9, 6), {"strides": 2, "coord_kernel_size": 1}),
    "2d, any size": (CoordConv2D, (None, None), {"padding": "same"}),
    "3d": (CoordConv3D, (5, 6, 4), {}),
    "transposed": (CoordConv2DTranspose, (5, 4), {"strides": 2, "padding": "same"}),
}

every_case = pytest.mark.parametrize("case", CASES)


def model_and_inputs(case):
    """A model of one layer with random weights, and inputs for it."""
    layer_class, spatial, arguments = CASES[case]
    model = keras.Sequential([keras.Input((*spatial, 3)), layer_class(4, 3, **arguments)])
    model.set_weights([normal(*weight.shape, seed=1 + i) for i, weight in enumerate(model.weights)])
    return model, [normal(2, *(n or 7 for n in spatial), 3)]


def model_with_coordinates():
    """The same with coordinates as an input."""
    image, where = keras.Input((9, 6, 3), name="image"), keras.Input((9, 6, 2), name="where")
    model = keras.Model([image, where], CoordConv2D(4, 3)(image, coordinates=where))
    return model, [normal(2, 9, 6, 3), normal(2, 9, 6, 2, seed=1)]


def assert_same(outputs, model, inputs):
    expected = keras.ops.convert_to_numpy(model(inputs if len(inputs) > 1 else inputs[0]))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def run_saved_model(model, inputs, path):
    import tensorflow as tf

    model.export(path, verbose=False)
    loaded = tf.saved_model.load(path)
    return loaded.serve(inputs if len(inputs) > 1 else inputs[0]).numpy()


def run_litert(model, inputs, path):
    import tensorflow as tf

    model.export(f"{path}.tflite", format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(model_path=f"{path}.tflite")
    # In an order of its own: told apart by the number of channels.
    arrays = {array.shape[-1]: array for array in inputs}
    details = [(detail["index"], arrays[detail["shape"][-1]]) for detail in interpreter.get_input_details()]
    for index, array in details:
        interpreter.resize_tensor_input(index, array.shape)
    interpreter.allocate_tensors()
    for index, array in details:
        interpreter.set_tensor(index, array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def run_onnx(model, inputs, path):
    import onnxruntime

    model(inputs if len(inputs) > 1 else inputs[0])  # Keras wants it called before
    model.export(f"{path}.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(f"{path}.onnx")
    return session.run(None, {each.name: array for each, array in zip(session.get_inputs(), inputs, strict=True)})[0]


RUN = {"SavedModel": run_saved_model, "LiteRT": run_litert, "ONNX": run_onnx}


def skip_without(file_format):
    """Skip where Keras or this environment cannot export it at all."""
    if file_format == "ONNX" and not importlib.util.find_spec("onnxruntime"):
        pytest.skip("run by `make test-backends`")
    if (file_format, BACKEND) == ("ONNX", "jax") and not importlib.util.find_spec("jax2onnx"):
        pytest.skip("Keras exports ONNX from JAX with jax2onnx, which is not in backends.txt")
    if file_format == "LiteRT" and BACKEND != "tensorflow":
        pytest.skip("Keras exports LiteRT from TensorFlow, and from PyTorch with a package of its own")
    if file_format == "SavedModel" and BACKEND == "torch":
        pytest.skip("a SavedModel is TensorFlow's")


@pytest.mark.parametrize("file_format", RUN)
@every_case
def test_exported_computes_the_same(file_format, case, tmp_path):
    skip_without(file_format)
    if (file_format, case, BACKEND) == ("ONNX", "3d", "torch"):
        pytest.skip("Keras cannot: see the next test")
    model, inputs = model_and_inputs(case)
    assert_same(RUN[file_format](model, inputs, tmp_path / "model"), model, inputs)


@pytest.mark.parametrize("file_format", RUN)
def test_exported_with_coordinates_as_an_input(file_format, tmp_path):
    skip_without(file_format)
    model, inputs = model_with_coordinates()
    assert_same(RUN[file_format](model, inputs, tmp_path / "model"), model, inputs)


@pytest.mark.skipif(BACKEND != "torch", reason="a limit of Keras on PyTorch")
def test_neither_conv3d_nor_coordconv3d_goes_from_pytorch_to_onnx(tmp_path):
    """If this fails, Keras has learned it: take the exception out of the guide and of the test above."""
    skip_without("ONNX")
    for layer_class in (keras.layers.Conv3D, CoordConv3D):
        model = keras.Sequential([keras.Input((5, 6, 4, 3)), layer_class(4, 3)])
        model(normal(2, 5, 6, 4, 3))
        with pytest.raises(Exception, match="memory_format support is not implemented"):
            model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
