"""The networks of `table`: tiny, of fixed seeds, trained for a few steps so that their ranges are sane.

Each function gives a Network. This imports tensorflow; only `build` imports it, in a process of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from tests.networks.table import VARIANTS

layers = tf.keras.layers
NETWORKS: dict[str, Callable[[], "Network"]] = {}


@dataclass
class Network:
    """What is converted: a trackable object, its signatures, and inputs by name to calibrate the first one with."""

    module: tf.Module
    signatures: dict[str, Callable]
    samples: list[dict[str, np.ndarray]] = field(default_factory=list)
    keeps_variables: bool = False  # else they become constants


def network(function):
    """Registers a network, which the table must name."""
    assert function.__name__ in VARIANTS
    NETWORKS[function.__name__] = function
    return function


# ---- what they share


def of(name, *shape, type=tf.float32):
    """An input of a signature."""
    return tf.TensorSpec(shape, type, name=name)


def train(model, x, y, steps=12, rate=0.05):
    """Plain gradient descent on the mean squared error, eagerly: tracing would cost more."""
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        for variable, slope in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
            variable.assign_sub(rate * tf.clip_by_norm(tf.convert_to_tensor(slope), 1.0))


def trained(model, x, classes, batch=None):
    """A Keras model that has learned to tell classes apart a little; its one input has a free batch, or `batch`."""
    rng = np.random.default_rng(len(x))
    wanted = np.asarray(model(x[:1])).shape[1:]
    y = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, len(x))]
    y = np.broadcast_to(y.reshape(len(x), *(1,) * (len(wanted) - 1), classes)[..., : wanted[-1]], (len(x), *wanted))
    train(model, x, y)

    @tf.function(input_signature=[tf.TensorSpec([batch, *x.shape[1:]], x.dtype, name="x")])
    def serve(x):
        return {"y": model(x, training=False)}

    return Network(tracked(model), {"serving_default": serve}, [{"x": x[i : i + 1]} for i in range(len(x))])


def smooth(shape, seed=0):
    """Synthetic pictures or sounds: sums of waves and noise, about within [-1, 1]."""
    rng = np.random.default_rng(seed)
    grids = np.meshgrid(*(np.linspace(0, 1, n) for n in shape[1:-1]), indexing="ij")
    waves = np.zeros(shape)
    for b in range(shape[0]):
        for c in range(shape[-1]):
            waves[b, ..., c] = np.sin(
                sum(g * f for g, f in zip(grids, rng.uniform(1, 12, len(grids)))) + rng.uniform(0, 6)
            )
    return (0.8 * waves + 0.1 * rng.normal(size=shape)).astype(np.float32)


def tracked(model):
    """A module of the model's variables: those of Keras itself are left out of what is saved."""
    module = tf.Module()
    module.kept = [v.value for v in model.variables]
    return module


def functional(shape, make, batch=None, dtype="float32"):
    x = tf.keras.Input(shape, batch, dtype=dtype)
    return tf.keras.Model(x, make(x))


# ---- pictures


@network
def cnn():
    def make(x):
        x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Conv2D(12, 3, activation="relu")(x)
        x = layers.AveragePooling2D(2)(x)
        return layers.Dense(5, activation="softmax")(layers.Flatten()(x))

    return trained(functional((16, 16, 3), make), smooth((24, 16, 16, 3)), 5)


@network
def separable():
    def make(x):
        x = layers.SeparableConv2D(8, 3, padding="same", activation="relu6")(x)
        x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2)(x)
        x = layers.LeakyReLU(0.1)(layers.BatchNormalization()(x))
        return layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))

    return trained(functional((12, 12, 3), make), smooth((24, 12, 12, 3)), 4)


@network
def residual():
    def make(x):
        x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
        y = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
        x = layers.ReLU()(layers.Add()([x, layers.Conv2D(8, 3, padding="same")(y)]))
        y = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(8, 3, strides=2, padding="same")(x))
        x = layers.Add()([layers.Conv2D(8, 1, strides=2)(x), y])
        return layers.Dense(4)(layers.GlobalMaxPooling2D()(x))

    return trained(functional((12, 12, 2), make), smooth((24, 12, 12, 2)), 4)


@network
def inception():
    def make(x):
        x = layers.Conv2D(6, 3, activation="relu")(x)
        one = layers.Conv2D(4, 1, activation="relu")(x)
        three = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Conv2D(3, 1, activation="relu")(x))
        five = layers.Conv2D(4, 3, padding="same", dilation_rate=2)(x)
        pooled = layers.Conv2D(2, 1)(layers.MaxPooling2D(3, strides=1, padding="same")(x))
        x = layers.Concatenate()([one, three, five, pooled])
        return layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x))

    return trained(functional((12, 12, 3), make), smooth((24, 12, 12, 3)), 4)


@network
def unet():
    def make(x):
        one = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
        two = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(one)
        three = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(two)
        up = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(three)
        up = layers.UpSampling2D(interpolation="bilinear")(layers.Concatenate()([up, two]))
        up = layers.Concatenate()([up, one, layers.Lambda(lambda t: tf.image.resize(t, (16, 16), "nearest"))(three)])
        return layers.Conv2D(2, 1, activation="sigmoid")(up)

    return trained(functional((16, 16, 2), make), smooth((16, 16, 16, 2)), 2)


@network
def conv3d():
    def make(x):
        x = layers.Conv3D(4, 3, padding="same", activation="relu")(x)
        x = layers.Conv3D(4, 2, strides=2)(x)
        return layers.Dense(3)(layers.Flatten()(x))

    return trained(functional((4, 6, 6, 2), make), smooth((16, 4, 6, 6, 2)), 3)


@network
def detector():
    """Boxes and scores of a grid, then those that do not overlap a better one."""
    x = smooth((24, 16, 16, 3))

    def make(x):
        x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
        x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
        return layers.Conv2D(5, 1, activation="sigmoid")(x)

    model = functional((16, 16, 3), make, batch=1)
    for i in range(8):
        train(model, x[i : i + 1], np.float32(0.5), steps=1)
    rows, columns = (g.ravel().astype(np.float32) / 4 for g in np.mgrid[:4, :4])

    @tf.function(input_signature=[of("x", 1, 16, 16, 3)])
    def serve(x):
        found = tf.reshape(model(x, training=False), [16, 5])
        height, width = 0.2 + found[:, 2], 0.2 + found[:, 3]
        boxes = tf.stack([rows, columns, rows + height, columns + width], axis=1)
        chosen, scores, count = tf.raw_ops.NonMaxSuppressionV5(
            boxes=boxes,
            scores=found[:, 4],
            max_output_size=6,
            iou_threshold=0.4,
            score_threshold=0.1,
            soft_nms_sigma=0.5,
            pad_to_max_output_size=True,
        )
        hard, valid = tf.image.non_max_suppression_padded(
            boxes, found[:, 4], 5, iou_threshold=0.5, score_threshold=0.2, pad_to_max_output_size=True
        )
        return {"boxes": tf.gather(boxes, chosen), "scores": scores, "count": count, "hard": hard, "valid": valid}

    return Network(tracked(model), {"serving_default": serve}, [{"x": x[i : i + 1]} for i in range(len(x))])


# ---- sequences


@network
def audio():
    def make(x):
        x = layers.Conv1D(6, 5, strides=2, padding="causal", activation="relu")(x)
        x = layers.Conv1D(6, 3, dilation_rate=2, padding="same", activation="tanh")(x)
        x = layers.MaxPooling1D(2)(x)
        x = layers.Conv1DTranspose(4, 3, strides=2)(x)
        return layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x))

    return trained(functional((40, 2), make), smooth((24, 40, 2)), 3)


@network
def lstm():
    """Unrolled, which the converter can quantize."""

    def make(x):
        return layers.Dense(3)(layers.LSTM(6, unroll=True)(x))

    return trained(functional((5, 4), make, batch=1), smooth((24, 5, 4)), 3, batch=1)


@network
def lstm_loop():
    """As a WHILE."""

    def make(x):
        return layers.Dense(3)(layers.LSTM(6)(x))

    return trained(functional((5, 4), make, batch=1), smooth((24, 5, 4)), 3, batch=1)


@network
def gru():
    def make(x):
        return layers.Dense(3)(layers.GRU(6, unroll=True)(x))

    return trained(functional((5, 4), make, batch=1), smooth((24, 5, 4)), 3, batch=1)


@network
def bidirectional():
    def make(x):
        x = layers.Bidirectional(layers.LSTM(4, unroll=True, return_sequences=True))(x)
        return layers.Dense(3)(x)

    return trained(functional((4, 4), make, batch=1), smooth((24, 4, 4)), 3, batch=1)


@network
def transformer():
    def make(x):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, 4)(y, y)
        x = layers.Add()([x, y])
        y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))
        return layers.Add()([x, layers.Dense(8)(y)])

    return trained(functional((6, 8), make), smooth((24, 6, 8)), 8)


@network
def text():
    def make(x):
        x = layers.Embedding(20, 8)(x)
        x = layers.GlobalAveragePooling1D()(x)
        return layers.Dense(3, activation="softmax")(layers.Dense(8, activation="relu")(x))

    x = np.random.default_rng(0).integers(0, 20, (24, 6)).astype(np.int32)
    return trained(functional((6,), make, dtype="int32"), x, 3)


# ---- signatures, subgraphs, state


class Coder(tf.Module):
    """Two signatures that share weights."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.w = tf.Variable(rng.normal(size=(6, 3)).astype(np.float32))

    @tf.function(input_signature=[of("x", None, 6)])
    def encode(self, x):
        return {"code": tf.tanh(tf.matmul(x, self.w))}

    @tf.function(input_signature=[of("code", None, 3)])
    def decode(self, code):
        y = tf.matmul(code, self.w, transpose_b=True)
        return {"y": y, "size": tf.reduce_sum(tf.abs(y), axis=1)}


@network
def signatures():
    coder = Coder()
    return Network(coder, {"encode": coder.encode, "decode": coder.decode})


class Chooser(tf.Module):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.a, self.b = (tf.Variable(rng.normal(size=(4, 4)).astype(np.float32)) for _ in range(2))

    @tf.function(input_signature=[of("x", 2, 4), of("i", type=tf.int32)])
    def choose(self, x, i):
        y = tf.cond(tf.reduce_sum(x) > 0, lambda: tf.matmul(x, self.a), lambda: tf.nn.relu(tf.matmul(x, self.b)))
        z = tf.cond(i < 2, lambda: tf.cond(i < 1, lambda: x + y, lambda: x * y), lambda: tf.reverse(x, [1]))
        return {"y": y, "z": z}


@network
def cond():
    chooser = Chooser()
    return Network(chooser, {"serving_default": chooser.choose})


class Power(tf.Module):
    """The largest eigenvalue, by as many steps as are asked for, and a list that grows."""

    def __init__(self):
        a = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
        self.a = tf.Variable(a @ a.T / 4)

    @tf.function(input_signature=[of("x", 4, 1), of("most", type=tf.int32)])
    def power(self, x, most):
        def turn(i, x, length, seen):
            y = tf.matmul(self.a, x)
            length = tf.sqrt(tf.reduce_sum(y * y))
            return i + 1, y / length, length, tf.concat([seen, [i]], 0)

        shapes = [tf.TensorShape([]), tf.TensorShape([4, 1]), tf.TensorShape([]), tf.TensorShape([None])]
        start = [tf.constant(0), x, tf.constant(0.0), tf.zeros([1], tf.int32)]
        i, x, length, seen = tf.while_loop(lambda i, *_: i < most, turn, start, shape_invariants=shapes)
        return {"i": i, "x": x, "length": length, "seen": seen}


@network
def while_loop():
    power = Power()
    return Network(power, {"serving_default": power.power})


class Learner(tf.Module):
    """Learns while it runs: train, infer, and the weights taken out and put back."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.w = tf.Variable(rng.normal(size=(4, 8)).astype(np.float32) * 0.5)
        self.b = tf.Variable(np.zeros(8, np.float32))
        self.v = tf.Variable(rng.normal(size=(8, 2)).astype(np.float32) * 0.5)
        self.steps = tf.Variable(0, dtype=tf.int32)

    def forward(self, x):
        return tf.matmul(tf.maximum(tf.matmul(x, self.w) + self.b, 0.0), self.v)  # there is no ReluGrad in the builtins

    @tf.function(input_signature=[of("x", 3, 4), of("y", 3, 2)])
    def train(self, x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.forward(x) - y) ** 2)
        variables = [self.w, self.b, self.v]
        for variable, slope in zip(variables, tape.gradient(loss, variables)):
            variable.assign_sub(0.1 * slope)
        return {"loss": loss, "steps": self.steps.assign_add(1)}

    @tf.function(input_signature=[of("x", 3, 4)])
    def infer(self, x):
        return {"y": self.forward(x)}

    @tf.function(input_signature=[of("unused", 1)])
    def save(self, unused):
        return {"w": self.w + 0 * unused, "b": self.b + 0 * unused, "v": self.v + 0 * unused, "steps": self.steps + 0}

    @tf.function(
        input_signature=[
            of("w", 4, 8),
            of("b", 8),
            of("v", 8, 2),
        ]
    )
    def restore(self, w, b, v):
        self.w.assign(w)
        self.b.assign(b)
        self.v.assign(v)
        return {"size": tf.reduce_sum(tf.abs(w)) + tf.reduce_sum(tf.abs(b)) + tf.reduce_sum(tf.abs(v))}


@network
def learner():
    learner = Learner()
    names = ("train", "infer", "save", "restore")
    return Network(learner, {name: getattr(learner, name) for name in names}, keeps_variables=True)


class Words(tf.Module):
    """Words to the rows of an embedding, by a table."""

    def __init__(self):
        keys, values = tf.constant(["cat", "dog", "bird"]), tf.constant([1, 2, 3], tf.int64)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, values), tf.constant(0, tf.int64)
        )
        self.names = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(values, keys), tf.constant("?"))
        self.rows = tf.Variable(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))

    @tf.function(input_signature=[of("words", None, type=tf.string)])
    def look_up(self, words):
        numbers = self.table.lookup(words)
        return {"numbers": numbers, "rows": tf.gather(self.rows, numbers), "names": self.names.lookup(numbers)}


@network
def lookup():
    words = Words()
    return Network(words, {"serving_default": words.look_up})


# ---- sparse weights


@network
def pruned():
    """Dense layers and a 1x1 convolution of which most weights are zero, in blocks."""

    def make(x):
        x = layers.Conv2D(16, 1, activation="relu")(x)
        return layers.Dense(16)(layers.Dense(32, activation="relu")(layers.Flatten()(x)))

    model = functional((2, 2, 16), make, batch=1)
    rng = np.random.default_rng(0)
    for w in model.trainable_variables:
        if len(w.shape) > 1:
            outputs, depth = w.shape[-1], int(np.prod(w.shape[:-1]))
            kept = np.repeat(rng.random((outputs, depth // 4)) < 0.25, 4, axis=1)
            w.assign(w * kept.T.reshape(w.shape))
    x = smooth((24, 2, 2, 16))

    @tf.function(input_signature=[of("x", 1, 2, 2, 16)])
    def serve(x):
        return {"y": model(x, training=False)}

    return Network(tracked(model), {"serving_default": serve}, [{"x": x[i : i + 1]} for i in range(len(x))])
