"""Builds and converts the networks of `models`: python -m tests.networks.build FOLDER [NAME ...]

Writes NAME.VARIANT.tflite, or NAME.VARIANT.txt with the converter's words where it refuses, and at last the file DONE.
A conversion that kills its process is found by the caller: DONE is missing.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path


def build(folder, names=()):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    import tensorflow as tf

    from tests.networks.models import NETWORKS
    from tests.networks.table import VARIANTS

    for name in names or VARIANTS:
        saved = tempfile.mkdtemp()
        try:
            tf.keras.utils.set_random_seed(1)
            network = NETWORKS[name]()
            functions = {key: function.get_concrete_function() for key, function in network.signatures.items()}
            tf.saved_model.save(network.module, saved, signatures=functions)
            for variant in VARIANTS[name]:
                try:
                    content = convert(tf, saved, network, variant)
                except Exception as error:
                    (folder / f"{name}.{variant}.txt").write_text(f"{type(error).__name__}: {error}")
                else:
                    (folder / f"{name}.{variant}.tflite").write_bytes(content)
        finally:
            shutil.rmtree(saved, ignore_errors=True)
            tf.keras.backend.clear_session()
    if not names:
        (folder / "DONE").write_text(tf.__version__)


def convert(tf, saved, network, variant):
    """The bytes of one variant."""
    converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=list(network.signatures))
    converter.experimental_enable_resource_variables = network.keeps_variables
    converter._experimental_lower_tensor_list_ops = True
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant.startswith("sparse"):
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    if variant == "sparse_int8":
        converter.optimizations.append(tf.lite.Optimize.DEFAULT)
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant in ("int8", "sparse_int8", "int16x8"):
        converter.representative_dataset = lambda: iter(network.samples)
        ops = tf.lite.OpsSet
        wide = variant == "int16x8"
        converter.target_spec.supported_ops = [
            ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8 if wide else ops.TFLITE_BUILTINS_INT8
        ]
        converter.inference_input_type = converter.inference_output_type = tf.int16 if wide else tf.int8
    return converter.convert()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    build(target, sys.argv[2:])
