"""Trains the model that `minitfl classify` brings along, on scikit-learn's handwritten digits (8x8 pixels of 17 greys).

    python examples/train_digits.py [FOLDER]        # needs tensorflow and scikit-learn; FOLDER: minitfl/data by default

The 1797 digits are shuffled once, with a fixed seed, and split in three:

    1197   training      the only ones that a gradient, or the calibration of the quantization, has seen
     240   selection     these chose between two networks, and choose the epoch whose weights are kept
     360   held out      used for nothing but the accuracy printed at the end; shipped, so that anyone can measure it

The network is converted to int8 throughout, input and output included. Written are

    digits.tflite        the model, with its labels packed in and its normalisation in the metadata
    digits_held_out.npz  pictures uint8 (360, 8, 8), labels uint8 (360,)
    digit.npy            the first held-out picture, which `minitfl classify` shows

Same versions and same machine give the same files; elsewhere the weights may differ a little.
"""

import io
import os
import sys
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import flatbuffers
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from minitfl import Interpreter
from minitfl.schema.reader import read_model
from minitfl.schema.writer import to_tree, write_model

SEED = 0
HELD_OUT, SELECTION = 360, 240
EPOCHS, BATCH = 100, 32
LEVELS = 16  # the digits' pixels go from 0 to 16
LABELS = [str(digit) for digit in range(10)]


def split():
    """(pictures uint8 (n, 8, 8), labels (n,)) for training, selection and the held-out set."""
    digits = load_digits()
    pictures = np.rint(digits.images * (255 / LEVELS)).astype(np.uint8)
    order = np.random.default_rng(SEED).permutation(len(pictures))
    parts = np.split(order, [HELD_OUT, HELD_OUT + SELECTION])
    held_out, selection, training = ((pictures[part], digits.target[part].astype(np.uint8)) for part in parts)
    return training, selection, held_out


def as_input(pictures):
    """What the network sees: float32 (n, 8, 8, 1) from 0 to 1."""
    return pictures.astype(np.float32)[..., None] / 255


def network():
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            layers.Conv2D(48, 1, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.4, seed=SEED),
            layers.Dense(10, activation="softmax"),
        ]
    )


def augmented(pictures, labels):
    """Training batches: each picture moved by up to a pixel, a little brighter or darker, with a little noise."""

    def vary(x, y):
        shift = tf.random.stateless_uniform((2,), seed=(SEED, 0) + y[1:], maxval=3, dtype=tf.int32)
        x = tf.slice(tf.pad(x, [[1, 1], [1, 1], [0, 0]]), [shift[0], shift[1], 0], [8, 8, 1])
        gain = tf.random.stateless_uniform((), seed=(SEED, 1) + y[1:], minval=0.85, maxval=1.15)
        noise = tf.random.stateless_normal((8, 8, 1), seed=(SEED, 2) + y[1:], stddev=0.03)
        return tf.clip_by_value(x * gain + noise, 0.0, 1.0), y[0]

    count = len(labels)
    data = tf.data.Dataset.from_tensor_slices((as_input(pictures), labels.astype(np.int32)))
    data = data.shuffle(count, seed=SEED).repeat(EPOCHS).enumerate()
    data = data.map(lambda n, pair: vary(pair[0], tf.stack([pair[1], tf.cast(n, tf.int32), tf.cast(n, tf.int32) + 1])))
    return data.batch(BATCH, drop_remainder=True), count // BATCH


def train(training, selection):
    model = network()
    batches, steps = augmented(*training)
    rate = tf.keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * steps)
    model.compile(tf.keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    best = tf.keras.callbacks.EarlyStopping("val_loss", patience=EPOCHS, restore_best_weights=True)
    model.fit(
        batches,
        epochs=EPOCHS,
        steps_per_epoch=steps,
        validation_data=(as_input(selection[0]), selection[1]),
        callbacks=[best],
        verbose=2,
    )
    return model


def convert(model, pictures):
    """The int8 model's bytes, calibrated on training pictures."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in as_input(pictures))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


# ---- the metadata of the TFLite Metadata schema: how pixels become inputs, what the outputs are called


def describe(content):
    """The model with TFLITE_METADATA in it and labels.txt packed behind it."""
    tree = to_tree(read_model(content))
    tree["buffers"].append({"data": metadata()})
    tree.setdefault("metadata", []).append({"name": "TFLITE_METADATA", "buffer": len(tree["buffers"]) - 1})
    tree["description"] = "Handwritten digits, 8x8 pixels (minitfl examples/train_digits.py)"
    packed = io.BytesIO(write_model(tree))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("labels.txt"), "\n".join(LABELS) + "\n")
    return packed.getvalue()


def metadata():
    builder = flatbuffers.Builder(256)

    def table(*fields):
        """Fields are (slot, offset of what the field refers to), or (slot, number, bytes that it takes)."""
        builder.StartObject(8)
        for slot, value, *size in fields:
            if size:
                builder.PrependUint8Slot(slot, value, 0)
            else:
                builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return builder.EndObject()

    def tables(*offsets):
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    normalization = table(
        (0, builder.CreateNumpyVector(np.float32([0]))), (1, builder.CreateNumpyVector(np.float32([255])))
    )
    unit = table((0, 1, 1), (1, normalization))
    image = table((0, builder.CreateString("picture")), (4, tables(unit)))
    labels = table((0, builder.CreateString("labels.txt")), (2, 2, 1))
    scores = table((0, builder.CreateString("scores")), (6, tables(labels)))
    subgraph = table((2, tables(image)), (3, tables(scores)))
    builder.Finish(table((0, builder.CreateString("digits")), (3, tables(subgraph))), file_identifier=b"M001")
    return bytes(builder.Output())


# ---- held-out accuracy


def accuracy(interpreter, pictures, labels):
    """The share of pictures whose highest score has the right label."""
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = given["quantization"]
    right = 0
    for x, label in zip(as_input(pictures), labels):
        interpreter.set_tensor(given["index"], np.rint(x / scale + zero).clip(-128, 127).astype(np.int8)[None])
        interpreter.invoke()
        right += int(interpreter.get_tensor(result["index"]).argmax() == label)
    return right / len(labels)


def main(folder):
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    training, selection, held_out = split()
    content = describe(convert(train(training, selection), training[0]))
    np.savez_compressed(folder / "digits_held_out.npz", pictures=held_out[0], labels=held_out[1])
    np.save(folder / "digit.npy", held_out[0][0])
    (folder / "digits.tflite").write_bytes(content)
    print(f"{len(content)} bytes")
    for name, part in (("selection", selection), ("held out", held_out)):
        for runtime in (tf.lite.Interpreter, Interpreter):
            print(f"{name}: accuracy {accuracy(runtime(model_content=content), *part):.4f} in {runtime.__module__}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "minitfl" / "data")
