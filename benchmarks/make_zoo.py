"""Networks of usual size to time: Keras' architectures with random weights, converted by TensorFlow, which is needed.

    python benchmarks/make_zoo.py FOLDER [NAME ...]

f32: float32. i8: int8 throughout, calibrated on noise. drq: int8 weights, float activations. f16: float16
weights. Weights are random, so these tell of time and memory and not of numerics. What is in the folder is kept.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

# name: class in keras.applications, side of the picture, kinds
NETWORKS = {
    "mobilenet_v1": ("MobileNet", 224, "f32 i8 drq f16"),
    "mobilenet_v2": ("MobileNetV2", 224, "f32 i8 drq"),
    "mobilenet_v3s": ("MobileNetV3Small", 224, "f32 i8"),
    "efficientnet_b0": ("EfficientNetB0", 224, "f32 i8"),
    "resnet50": ("ResNet50", 224, "f32 i8"),
    "inception_v3": ("InceptionV3", 299, "f32 i8"),
    "densenet121": ("DenseNet121", 224, "f32"),
}


def network(name):
    import tensorflow as tf

    kind, side, _ = NETWORKS[name]
    tf.keras.utils.set_random_seed(0)
    options = {"include_preprocessing": False} if kind == "MobileNetV3Small" else {}
    return getattr(tf.keras.applications, kind)(weights=None, input_shape=(side, side, 3), **options)


def converted(model, kind):
    """The bytes of a .tflite file."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind == "f32":
        return converter.convert()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "f16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "i8":
        chance = np.random.default_rng(0)
        pictures = [chance.uniform(-1, 1, (1, *model.input_shape[1:])).astype(np.float32) for _ in range(8)]
        converter.representative_dataset = lambda: ([picture] for picture in pictures)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def main():
    parser = argparse.ArgumentParser(description="Makes networks to time.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help=f"all by default: {', '.join(NETWORKS)}")
    options = parser.parse_args()
    unknown = set(options.names) - set(NETWORKS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or NETWORKS:
        paths = {kind: options.folder / f"{name}_{kind}.tflite" for kind in NETWORKS[name][2].split()}
        missing = {kind: path for kind, path in paths.items() if not path.is_file()}
        model = network(name) if missing else None
        for kind, path in missing.items():
            path.write_bytes(converted(model, kind))
            print(f"{path}  {path.stat().st_size / 2**20:.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
