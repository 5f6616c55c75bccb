"""Which module of engine.emit has the emitter of a kernel, "module.name" in minitfl.kernels."""

_MODULES = {
    "arithmetic": "arithmetic.add arithmetic.add_int arithmetic.maximum arithmetic.minimum arithmetic.multiply"
    " arithmetic.multiply_int arithmetic.squared_difference arithmetic.squared_difference_int"
    " arithmetic.subtract division.divide",
    "compare": "compare.equal compare.less compare.less_equal compare.logical_and compare.logical_not"
    " compare.logical_or compare.not_equal index_ops.select",
    "conv_float": "conv.conv_float dense_rows.dense_float matmul.matmul_float transpose_conv.transpose_float",
    "conv_int": "conv.conv_hybrid conv.conv_int dense_rows.dense_fixed dense_rows.dense_hybrid dense_rows.dense_int",
    "convert": "convert.convert convert.convert_to_bool convert.cut_off convert.dequantize convert.quantize"
    " convert.requantize convert.to_float16",
    "depthwise": "depthwise.depthwise_float depthwise.depthwise_hybrid depthwise.depthwise_int",
    "lstm": "lstm_float.lstm_float lstm_int.lstm_int sequence.both_ways",
    "pool": "pool.average_float pool.average_int pool.max_pool",
    "reduce": "normalise.unit order.arg_max reduce.largest reduce.mean_float reduce.mean_int reduce.sum_values",
    "resize": "resize.bilinear resize.bilinear_int resize.bilinear_uint8",
    "runs": "embedding.embedding index_ops.gather join.broadcast join.concatenate join.pack join.split join.tile"
    " join.unpack layout.copy layout.rearrange pad.mirror_pad pad.pad resize.nearest slice.take_slices",
    "softmax": "softmax.log_softmax softmax.softmax softmax.softmax_int",
    "tables": "tables.lookup",
    "unary": "activation.clamp activation.clamp_int activation.elu activation.hard_swish activation.leaky"
    " activation.leaky_int activation.prelu activation.prelu_int gated.swish sigmoid.gelu"
    " sigmoid.gelu_tanh sigmoid.logistic sigmoid.tanh unary.absolute unary.ceiling unary.exponential"
    " unary.floor unary.inverse_root unary.logarithm unary.negative unary.round_even unary.square"
    " unary.square_root",
}

MODULE_OF = {kernel: module for module, kernels in _MODULES.items() for kernel in kernels.split()}
