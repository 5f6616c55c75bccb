"""Which networks there are, in which variants, what they are there for, and what the converter refuses."""

ALL = ("float32", "float16", "dynamic", "int8", "int16x8")
FLOATS = ALL[:3]

VARIANTS = {
    "cnn": ALL,
    "separable": ALL,
    "residual": ALL,
    "inception": ALL,
    "unet": ALL,
    "conv3d": ALL,
    "detector": FLOATS,
    "audio": ALL,
    "lstm": ALL,
    "lstm_loop": ("float32", "dynamic"),
    "gru": ALL,
    "bidirectional": ALL,
    "transformer": ALL,
    "text": ALL,
    "signatures": FLOATS,
    "cond": ("float32", "dynamic"),
    "while_loop": ("float32",),
    "learner": ("float32",),
    "lookup": ("float32",),
    "pruned": ("sparse", "sparse_int8"),
}

# In the converter's words.
REFUSED = {
    ("conv3d", "int16x8"): "Quantization to 16x8-bit not yet supported for op: 'CONV_3D'",
    ("residual", "int16x8"): "Quantization to 16x8-bit not yet supported for op: 'PRELU'",
    ("transformer", "int16x8"): "Quantization to 16x8-bit not yet supported for op: 'NEG'",
    ("text", "int16x8"): "Max and min for dynamic tensors should be recorded during calibration",
}

# Operators that the converter may leave in float32, with a DEQUANTIZE before and a QUANTIZE behind. The split of the
# first gates, one of which is not used, is left in some conversions and not in others.
LEFT_FLOAT = {
    ("conv3d", "int8"): {"CONV_3D"},
    ("transformer", "int8"): {"NEG"},
    ("bidirectional", "int8"): {"SPLIT"},
    ("lstm", "int8"): {"SPLIT"},
}

# Operators that a network must come to, or it would prove less than it says.
HOLDS = {
    "cnn": "CONV_2D MAX_POOL_2D AVERAGE_POOL_2D FULLY_CONNECTED SOFTMAX",
    "separable": "DEPTHWISE_CONV_2D CONV_2D LEAKY_RELU MEAN LOGISTIC",
    "residual": "CONV_2D ADD PRELU REDUCE_MAX",
    "inception": "CONV_2D MAX_POOL_2D CONCATENATION",
    "unet": "TRANSPOSE_CONV RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR CONCATENATION",
    "conv3d": "CONV_3D",
    "detector": "NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5",
    "audio": "CONV_2D EXPAND_DIMS TRANSPOSE_CONV",
    "lstm": "FULLY_CONNECTED LOGISTIC TANH MUL",
    "lstm_loop": "WHILE",
    "gru": "FULLY_CONNECTED LOGISTIC TANH SUB",
    "bidirectional": "REVERSE_V2 CONCATENATION",
    "transformer": "BATCH_MATMUL SOFTMAX GELU",
    "text": "GATHER MEAN FULLY_CONNECTED",
    "signatures": "FULLY_CONNECTED TANH SUM",
    "cond": "IF",
    "while_loop": "WHILE",
    "learner": "CALL_ONCE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE",
    "lookup": "HASHTABLE HASHTABLE_FIND GATHER",
    "pruned": "CONV_2D FULLY_CONNECTED",
}
