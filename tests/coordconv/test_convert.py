import keras
import numpy as np
import pytest
from cases import LAYERS, SHAPES, every_layer, normal, numpy
from keras import layers, ops

from coordconv import (
    AddCoords,
    CoordConv1D,
    CoordConv2D,
    CoordConv2DTranspose,
    CoordConv3D,
    convert_model,
    load_concatenated_kernel,
)


def with_random_weights(layer):
    layer.set_weights([np.abs(normal(*w.shape, seed=i)) for i, w in enumerate(layer.weights)])
    return layer


def assert_same(outputs, expected):
    """Equal but for the last digit: a backend may fuse a bias that it adds, but not a sum."""
    np.testing.assert_array_max_ulp(numpy(outputs), numpy(expected), maxulp=4)


# from_conv


@every_layer
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"use_bias": False, "activation": "relu"},
        {"padding": "same", "strides": 2},
        {"data_format": "channels_first", "dilation_rate": 2},
    ],
)
@pytest.mark.parametrize("options", [{}, {"radius": True, "order": "xy", "coord_kernel_size": 2}], ids=str)
def test_from_conv_computes_the_same(layer_class, arguments, options):
    inputs = np.abs(normal(2, *SHAPES[layer_class], 3))
    if "data_format" in arguments:
        inputs = np.moveaxis(inputs, -1, 1)
    # More filters than any axis is long: on TensorFlow, Keras 3.15 adds a channels_first bias along the last
    # axis if that is as long as the bias.
    conv = LAYERS[layer_class](11, 2, name="conv", **arguments)
    conv.build(inputs.shape)
    with_random_weights(conv)
    layer = layer_class.from_conv(conv, **options)
    assert type(layer) is layer_class
    assert conv.get_config().items() <= layer.get_config().items()
    assert (layer.radius, layer.order) == (bool(options), "xy" if options else "ij")
    assert not np.any(numpy(layer.coord_kernel))
    assert_same(layer(inputs), conv(inputs))
    assert layer.count_params() > conv.count_params()


def test_from_conv_with_groups_and_mixed_precision():
    inputs = np.abs(normal(2, 7, 5, 6))
    conv = layers.Conv2D(4, 3, groups=2, dtype="mixed_bfloat16")
    conv.build(inputs.shape)
    with_random_weights(conv)
    layer = CoordConv2D.from_conv(conv)
    assert layer.dtype_policy.name == "mixed_bfloat16"
    np.testing.assert_array_equal(numpy(ops.cast(layer(inputs), "float32")), numpy(ops.cast(conv(inputs), "float32")))


def test_from_conv_with_lora():
    inputs = np.abs(normal(2, 7, 5, 3))
    conv = layers.Conv2D(4, 3, lora_rank=2)
    conv.build(inputs.shape)
    with_random_weights(conv)
    assert_same(CoordConv2D.from_conv(conv)(inputs), conv(inputs))


def test_from_conv_can_be_fine_tuned():
    conv = layers.Conv2D(4, 3)
    conv.build((None, 7, 5, 3))
    before = numpy(conv.kernel)
    model = keras.Sequential([CoordConv2D.from_conv(conv)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(normal(2, 7, 5, 3), normal(2, 5, 3, 4, seed=1))
    assert np.all(numpy(model.layers[0].coord_kernel) != 0)
    np.testing.assert_array_equal(numpy(conv.kernel), before)


class Subclass(layers.Conv2D):
    pass


def test_a_copy_may_stand_beside_the_original_in_a_model():
    inputs = keras.Input((9, 6, 2))
    conv = layers.Conv2D(4, 3)
    plain = conv(inputs)
    copy = CoordConv2D.from_conv(conv, name="copy")
    model = keras.Model(inputs, [plain, copy(inputs)])
    assert_same(*model(normal(2, 9, 6, 2)))


@pytest.mark.parametrize(
    "layer, message",
    [
        (layers.Conv2D(4, 3), "`layer` must be built"),
        (layers.Conv1D(4, 3), r"`layer` must be a keras.layers.Conv2D. Received: layer=.* of class Conv1D"),
        (Subclass(4, 3), "`layer` must be a keras.layers.Conv2D. Received: .* of class Subclass"),
        (CoordConv2D(4, 3), "`layer` must be a keras.layers.Conv2D. Received: .* of class CoordConv2D"),
    ],
)
def test_from_conv_refuses(layer, message):
    with pytest.raises(ValueError, match=message):
        CoordConv2D.from_conv(layer)


def double(x):
    return 2 * x


class OwnRegularizer(keras.regularizers.Regularizer):
    def __call__(self, weights):
        return ops.sum(weights)

    def get_config(self):
        return {}


def test_from_conv_takes_functions_that_keras_does_not_know():
    ones = lambda shape, dtype: ops.ones(shape, dtype)  # noqa: E731
    conv = layers.Conv2D(3, 2, activation=double, bias_initializer=ones, kernel_regularizer=OwnRegularizer())
    conv.build((None, None, None, 2))
    inputs = normal(2, 9, 6, 2)
    assert_same(CoordConv2D.from_conv(conv)(inputs), conv(inputs))
    model = keras.Sequential([keras.Input((9, 6, 2)), conv])
    assert_same(convert_model(model)(inputs), model(inputs))


# convert_model


def functional_model():
    """Convolutions of every kind: in a row, shared, nested, wrapped, and beside layers with state."""
    inputs = keras.Input((9, 6, 2), name="image")
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    hidden = shared(layers.Conv2D(3, 3, padding="same", activation="relu", name="first")(inputs))
    hidden = shared(layers.BatchNormalization()(hidden))
    decoder = keras.Sequential([keras.Input((9, 6, 3)), layers.Conv2DTranspose(2, 2, strides=2)], name="decoder")
    nested = keras.Sequential([keras.Input((9, 6, 3)), decoder], name="nested")
    hidden = layers.Dropout(0.5)(nested(hidden))
    frames = layers.Reshape((6, 3, 12, 2))(hidden)
    frames = layers.TimeDistributed(layers.Conv2D(2, 2), name="wrapped")(frames)
    tower = keras.Sequential([layers.Conv2D(2, 2), layers.BatchNormalization()])
    frames = layers.TimeDistributed(tower, name="wrapped_model")(frames)
    voxels = layers.Conv3D(2, 1)(frames)
    steps = layers.Conv1D(2, 3, padding="causal")(layers.Reshape((-1, 2))(voxels))
    kept = layers.SeparableConv1D(3, 2)(steps)
    return keras.Model(inputs, {"steps": kept, "hidden": hidden})


def test_convert_functional_model():
    model = with_random_weights(functional_model())
    before = model.get_weights()
    converted = convert_model(model, radius=True, order="xy")
    inputs = normal(2, 9, 6, 2)
    outputs, expected = converted(inputs), model(inputs)
    for name in ("steps", "hidden"):
        np.testing.assert_allclose(numpy(outputs[name]), numpy(expected[name]), rtol=1e-5)
    assert [layer.name for layer in converted.layers] == [layer.name for layer in model.layers]
    kinds = {layer.name: type(layer) for layer in converted.layers}
    assert (kinds["first"], kinds["shared"]) == (CoordConv2D, CoordConv2D)
    assert type(converted.get_layer("nested").layers[0].layers[0]) is CoordConv2DTranspose
    assert type(converted.get_layer("wrapped").layer) is CoordConv2D
    assert type(converted.get_layer("wrapped_model").layer.layers[0]) is CoordConv2D
    assert {CoordConv1D, CoordConv3D, layers.SeparableConv1D} <= set(kinds.values())
    # Seven convolutions; radius: d is 2 in 1D, 3 in 2D, 4 in 3D.
    coordinates = 3 * 3 * 9 * 2 + 3 * 2 * 4 + 3 * 2 * 4 * 2 + 4 * 2 + 2 * 2 * 3
    assert converted.count_params() - model.count_params() == coordinates
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_convert_sequential_model(tmp_path):
    model = keras.Sequential([keras.Input((9, 6, 2)), layers.Conv2D(4, 3), layers.Flatten()])
    model.compile("adam", lambda targets, outputs: outputs - targets)  # Keras could not make this loss anew
    converted = convert_model(model, coord_kernel_size=1)
    assert type(converted) is keras.Sequential
    assert (model.compiled, converted.compiled) == (True, False)
    assert converted.count_params() - model.count_params() == 2 * 4
    inputs = normal(2, 9, 6, 2)
    assert_same(converted(inputs), model(inputs))
    converted.compile("adam", "mse")
    converted.train_on_batch(inputs, np.zeros(converted(inputs).shape))
    converted.save(tmp_path / "converted.keras")
    loaded = keras.models.load_model(tmp_path / "converted.keras")
    np.testing.assert_array_equal(numpy(loaded(inputs)), numpy(converted(inputs)))


def test_convert_model_keeps_coord_convs_and_their_weights():
    model = keras.Sequential(
        [keras.Input((9, 6, 2)), layers.Conv2D(3, 3), CoordConv2D(3, 3, order="xy"), layers.Conv2D(2, 1)]
    )
    with_random_weights(model)
    converted = convert_model(model)
    np.testing.assert_array_equal(numpy(converted.layers[1].coord_kernel), numpy(model.layers[1].coord_kernel))
    assert converted.layers[1].order == "xy"
    inputs = normal(2, 9, 6, 2)
    np.testing.assert_allclose(numpy(converted(inputs)), numpy(model(inputs)), rtol=1e-5)


def test_convert_model_keeps_what_is_frozen():
    model = keras.Sequential([keras.Input((9, 6, 2)), layers.Conv2D(3, 3, trainable=False), layers.Conv2D(2, 1)])
    converted = convert_model(model)
    assert [layer.trainable for layer in converted.layers] == [False, True]
    assert len(converted.trainable_weights) == 3


def test_convert_model_replaces_the_convolutions_that_are_named():
    inputs = keras.Input((9, 6, 2))
    hidden = layers.Conv2D(3, 3, name="first")(inputs)
    nested = keras.Sequential([keras.Input((7, 4, 3)), layers.Conv2D(2, 1, name="second")], name="nested")
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="third")(nested(hidden)))
    converted = convert_model(model, layers=["second"])
    kinds = [type(converted.get_layer("nested").layers[0]), *(type(converted.get_layer(n)) for n in ("first", "third"))]
    assert kinds == [CoordConv2D, layers.Conv2D, layers.Conv2D]
    images = normal(2, 9, 6, 2)
    np.testing.assert_allclose(numpy(converted(images)), numpy(model(images)), rtol=1e-5, atol=1e-6)


def test_convert_model_keeps_what_is_shared_by_wrappers():
    conv = layers.Conv2D(4, 3, padding="same")
    video, other, image = keras.Input((5, 8, 7, 3)), keras.Input((2, 8, 7, 3)), keras.Input((8, 7, 3))
    outputs = [layers.TimeDistributed(conv)(video), layers.TimeDistributed(conv)(other), conv(image)]
    model = keras.Model([video, other, image], outputs)
    converted = convert_model(model)
    assert len(converted.weights) == 3
    arrays = [normal(1, 5, 8, 7, 3), normal(1, 2, 8, 7, 3), normal(1, 8, 7, 3)]
    for output, expected in zip(converted(arrays), model(arrays), strict=True):
        assert_same(output, expected)


def test_convert_model_keeps_a_normalization_that_was_adapted():
    images = 3 * normal(20, 9, 6, 2) + 5
    normalization = layers.Normalization()
    normalization.adapt(images)
    model = keras.Sequential([keras.Input((9, 6, 2)), normalization, layers.Conv2D(4, 3)])
    assert_same(convert_model(model)(images), model(images))


class SubclassedModel(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(2, 3)

    def call(self, inputs):
        return self.conv(inputs)


@keras.saving.register_keras_serializable("tests")
def fixed_filters(shape, dtype=None):
    assert shape == (3, 3, 2, 4)
    return np.arange(72.0).reshape(shape)


@pytest.mark.parametrize("initializer", [keras.initializers.Constant(fixed_filters((3, 3, 2, 4))), fixed_filters, None])
@pytest.mark.parametrize("coord_kernel_size", [None, 1])
def test_convert_model_takes_any_initializer(initializer, coord_kernel_size, tmp_path):
    model = keras.Sequential([keras.Input((9, 6, 2)), layers.Conv2D(4, 3, kernel_initializer=initializer)])
    converted = convert_model(model, coord_kernel_size=coord_kernel_size)
    images = normal(2, 9, 6, 2)
    assert_same(converted(images), model(images))
    assert_same(convert_model(converted, layers=[])(images), model(images))
    assert_same(CoordConv2D.from_conv(model.layers[0])(images), model(images))
    converted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same(loaded(images), model(images))


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Wrapper):
    def call(self, inputs):
        return 2 * self.layer(inputs)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(keras.layers.deserialize(config.pop("layer")), **config)


def test_convert_model_keeps_a_wrapper_that_makes_its_own_layer():
    model = keras.Sequential(
        [keras.Input((9, 6, 2)), layers.Conv2D(3, 1, name="first"), Doubled(layers.Conv2D(3, 1, name="second"))]
    )
    converted = convert_model(model)
    assert type(converted.layers[1].layer) is layers.Conv2D
    images = normal(2, 9, 6, 2)
    assert_same(converted(images), model(images))


class OfDoubled(Doubled):
    pass


def test_convert_model_keeps_a_wrapper_that_inherits_how_it_is_made():
    model = keras.Sequential([keras.Input((9, 6, 2)), OfDoubled(layers.Conv2D(3, 1)), layers.Conv2D(3, 1)])
    converted = convert_model(model)
    assert [type(layer) for layer in converted.layers] == [OfDoubled, CoordConv2D]
    assert type(converted.layers[0].layer) is layers.Conv2D
    images = normal(2, 9, 6, 2)
    assert_same(converted(images), model(images))


class WithMore(keras.Model):
    """A functional model with weights and a layer outside its graph."""

    def __init__(self):
        inputs = keras.Input((9, 6, 2))
        super().__init__(inputs, layers.Conv2D(2, 1)(inputs))
        self.scale = self.add_weight(shape=(1, 1, 2, 2), initializer="ones")
        self.auxiliary = layers.Conv2D(2, 1)
        self.auxiliary.build((None, 9, 6, 2))


def test_convert_model_gives_each_layer_its_own_weights():
    model = keras.Sequential([keras.Input((9, 6, 2)), WithMore(), layers.Conv2D(2, 1)])
    with_random_weights(model)
    images = normal(2, 9, 6, 2)
    assert_same(convert_model(model)(images), model(images))


class TwiceWithoutInit(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training, mask)


class Twice(TwiceWithoutInit):
    def __init__(self):
        inputs = keras.Input((9, 6, 2))
        super().__init__(inputs, layers.Conv2D(2, 1)(inputs), name="twice")


def test_convert_model_keeps_a_class_that_is_made_of_inputs_and_outputs():
    inputs = keras.Input((9, 6, 2))
    model = TwiceWithoutInit(inputs, layers.Conv2D(2, 1)(inputs))
    converted = convert_model(model)
    images = normal(2, 9, 6, 2)
    assert_same(converted(images), model(images))
    assert np.any(numpy(converted(images)))


def test_convert_model_keeps_operations():
    inputs = keras.Input((9, 6, 2))
    outputs = ops.relu(layers.Conv2D(2, 1)(inputs[:, 1:]) * 2 + 1)
    model = with_random_weights(keras.Model(inputs, layers.Conv2D(2, 1)(outputs)))
    images = normal(2, 9, 6, 2)
    np.testing.assert_allclose(numpy(convert_model(model)(images)), numpy(model(images)), rtol=1e-5)


class Unsaid(layers.Layer):
    """A layer whose config does not say what weights it has."""

    def __init__(self, length=0, **kwargs):
        super().__init__(**kwargs)
        self.length = length

    def get_config(self):
        return {"name": self.name}

    def build(self, input_shape):
        self.weight = self.add_weight(shape=(self.length,))

    def call(self, inputs):
        return inputs


def test_convert_model_refuses_what_would_compute_something_else():
    for model in (Twice(), keras.Sequential([keras.Input((9, 6, 2)), Twice(), layers.Conv2D(2, 1)])):
        with pytest.raises(ValueError, match=r"`model` must have no `call` .* Received: model 'twice' of class Twice"):
            convert_model(model)
    model = keras.Sequential([keras.Input((9, 6, 2)), layers.Conv2D(2, 1), Unsaid(1, name="unsaid")])
    with pytest.raises(ValueError, match=r"'unsaid' of class Unsaid cannot be copied: .* \[\(1,\)\], .* \[\(0,\)\]"):
        convert_model(model)
    unregistered = layers.Dense(2, activation=lambda x: x + 1, name="dense")
    model = keras.Sequential([keras.Input((9, 6, 2)), layers.Conv2D(2, 1), unregistered])
    with pytest.raises(ValueError, match="Layer 'dense' of class Dense cannot be copied from its config"):
        convert_model(model)


class OtherName(layers.Wrapper):
    """A wrapper that has to be given its layer by position."""

    def __init__(self, inner, **arguments):
        super().__init__(inner, **arguments)

    def call(self, inputs):
        return self.layer(inputs)


class Copied(OtherName):
    """A wrapper that copies its layer, so that the coordinate weights of the copy have to be zero too."""

    def __init__(self, layer, **arguments):
        super().__init__(layer.__class__.from_config(layer.get_config()), **arguments)


@pytest.mark.parametrize("wrapper", [OtherName, Copied])
def test_convert_model_converts_within_a_wrapper_of_your_own(wrapper):
    model = keras.Sequential([keras.Input((9, 6, 2)), wrapper(layers.Conv2D(3, 1))])
    converted = convert_model(model)
    assert type(converted.layers[0].layer) is CoordConv2D
    images = normal(2, 9, 6, 2)
    assert_same(converted(images), model(images))


def test_convert_model_keeps_a_frozen_variable_and_takes_names_once():
    model = keras.Sequential([keras.Input((9, 6, 2)), layers.Conv2D(3, 1, name="a"), layers.Conv2D(3, 1, name="b")])
    model.layers[0].kernel.trainable = False
    converted = convert_model(model, layers=(name for name in "ba"))
    assert {type(layer) for layer in converted.layers} == {CoordConv2D}
    assert [each.name for each in converted.layers[0].trainable_variables] == ["bias", "coord_kernel"]


def test_convert_model_refuses():
    with pytest.raises(ValueError, match="`model` must be built"):
        convert_model(keras.Sequential([layers.Conv2D(2, 3)]))
    model = SubclassedModel()
    model(normal(1, 5, 5, 1))
    for no_model in (model, model.conv, "model"):
        with pytest.raises(
            ValueError, match=r"`model` must be a functional or sequential keras.Model. Received: model="
        ):
            convert_model(no_model)
    model = keras.Sequential([keras.Input((9, 6, 2)), layers.Conv2D(3, 1), layers.Flatten(name="flatten")])
    name = model.layers[0].name
    with pytest.raises(ValueError, match=rf"`layers` must name .* not of a subclass: {name}. Received: flatten, none"):
        convert_model(model, layers={"none", "flatten"})
    converted = convert_model(model)
    with pytest.raises(ValueError, match=rf"not of a subclass: it has none. Received: {name}"):
        convert_model(converted, layers=[name])
    with pytest.raises(ValueError, match=r"`model` must have a convolution to replace, .* which has none"):
        convert_model(converted)
    with pytest.raises(ValueError, match=r"`layers` must name convolutions of `model`, .* Received: <Conv2D"):
        convert_model(model, layers=model.layers[:1])
    with pytest.raises(ValueError, match=r"`layers` must be a list of names. Received: layers='conv'"):
        convert_model(model, layers="conv")
    with pytest.raises(ValueError, match=r"`coord_kernel_size` of layer '.*' must be None, an"):
        convert_model(model, coord_kernel_size=3)


# load_concatenated_kernel


@every_layer
@pytest.mark.parametrize("radius", [False, True])
@pytest.mark.parametrize("order", ["ij", "xy"])
@pytest.mark.parametrize("layer_order", ["ij", "xy"])
def test_loads_kernels_of_either_order(layer_class, radius, order, layer_order):
    inputs = normal(2, *SHAPES[layer_class], 3)
    channels = AddCoords(radius=radius, order=order)(inputs)
    other = LAYERS[layer_class](4, 3)
    other.build(channels.shape)
    with_random_weights(other)
    layer = layer_class(4, 3, radius=radius, order=layer_order)
    layer.build(inputs.shape)
    load_concatenated_kernel(layer, numpy(other.kernel), numpy(other.bias), order=order)
    np.testing.assert_allclose(numpy(layer(inputs)), numpy(other(channels)), rtol=1e-4, atol=1e-4)


def test_loads_a_1x1_kernel_by_hand():
    # Two input channels, then the paper's (column, row): output = 1 a + 2 b + 3 column + 4 row.
    layer = CoordConv2D(1, 1, use_bias=False)
    layer.build((None, 2, 3, 2))
    load_concatenated_kernel(layer, np.reshape([1, 2, 3, 4], (1, 1, 4, 1)), order="xy")
    np.testing.assert_array_equal(numpy(layer.coord_kernel).ravel(), [4, 3])
    outputs = numpy(layer(np.ones((1, 2, 3, 2), "float32")))
    expected = [[3 - 3 - 4, 3 - 4, 3 + 3 - 4], [3 - 3 + 4, 3 + 4, 3 + 3 + 4]]
    np.testing.assert_allclose(outputs[0, :, :, 0], expected, atol=1e-6)


def test_loads_a_grouped_kernel_and_leaves_the_bias():
    layer = CoordConv2D(6, 3, groups=2, bias_initializer="ones")
    layer.build((None, 8, 8, 4))
    kernel = normal(3, 3, 2 + 2, 6)
    load_concatenated_kernel(layer, kernel)
    np.testing.assert_array_equal(numpy(layer.kernel), kernel[:, :, :2])
    np.testing.assert_array_equal(numpy(layer.coord_kernel), kernel[:, :, 2:])
    np.testing.assert_array_equal(numpy(layer.bias), np.ones(6))


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (
            {},
            {"kernel": np.zeros((3, 3, 3, 4))},
            r"`kernel` of layer '.*' must have shape \(3, 3, 5, 4\).*\(3, 3, 3, 4\)",
        ),
        ({"radius": True}, {}, r"must have shape \(3, 3, 6, 4\): on axis -2, 3 channels of the input, then 3 coord"),
        ({"coord_kernel_size": 1}, {}, "must have coord_kernel_size=None.*coord_kernel_size=.1, 1."),
        ({}, {"bias": np.zeros(3)}, r"`bias` must have shape \(4,\)\. Received: bias of shape \(3,\)"),
        ({"use_bias": False}, {"bias": np.zeros(4)}, "`bias` must be None for a layer with use_bias=False"),
        ({}, {"order": "rc"}, r"`order` must be one of \('ij', 'xy'\). Received: order='rc'"),
    ],
)
def test_loader_refuses_and_leaves_the_layer_as_it_is(arguments, options, message):
    layer = CoordConv2D(4, 3, **arguments)
    layer.build((None, 8, 8, 3))
    before = layer.get_weights()
    with pytest.raises(ValueError, match=message):
        load_concatenated_kernel(layer, **{"kernel": np.zeros((3, 3, 5, 4)), **options})
    for weight, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_loader_refuses_another_layer():
    with pytest.raises(ValueError, match="`layer` must be a CoordConv layer"):
        load_concatenated_kernel(keras.layers.Conv2D(4, 3), np.zeros((3, 3, 5, 4)))


def test_loader_refuses_a_layer_that_is_not_built():
    with pytest.raises(ValueError, match="`layer` must be built"):
        load_concatenated_kernel(CoordConv2D(4, 3), np.zeros((3, 3, 5, 4)))


def test_loader_refuses_a_layer_with_lora():
    layer = CoordConv2D(4, 3)
    layer.build((None, 8, 8, 3))
    layer.enable_lora(2)
    with pytest.raises(ValueError, match="must not have LoRA enabled"):
        load_concatenated_kernel(layer, np.zeros((3, 3, 5, 4)))
