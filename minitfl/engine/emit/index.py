"""Which module of engine.emit has the emitter of a kernel, "module.name" in minitfl.kernels."""

_MODULES = {
    "arithmetic": "arithmetic.add arithmetic.maximum arithmetic.minimum arithmetic.multiply"
    " arithmetic.squared_difference arithmetic.subtract division.divide",
    "conv_float": "conv.conv_float dense_rows.dense_float matmul.matmul_float transpose_conv.transpose_float",
    "depthwise": "depthwise.depthwise_float",
    "pool": "pool.average_float pool.average_int pool.max_pool reduce.largest reduce.mean_float reduce.sum_values",
    "runs": "embedding.embedding index_ops.gather join.broadcast join.concatenate join.pack join.split join.tile "
    "join.unpack layout.copy layout.rearrange pad.mirror_pad pad.pad resize.nearest slice.take_slices",
    "softmax": "softmax.log_softmax softmax.softmax softmax.softmax_int",
}

MODULE_OF = {kernel: module for module, kernels in _MODULES.items() for kernel in kernels.split()}
