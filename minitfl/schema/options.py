"""The options of the operators, in the notation of `minitfl.schema.tables`: tables, unions, which op has which."""

from minitfl.schema.enums import BuiltinOperator

_BUILTIN = {
    "AddOptions": "fused_activation_function ActivationFunctionType, pot_scale_int16 bool = true",
    "ArgMaxOptions": "output_type TensorType",
    "ArgMinOptions": "output_type TensorType",
    "BatchMatMulOptions": "adj_x bool, adj_y bool, asymmetric_quantize_inputs bool",
    "BidirectionalSequenceLSTMOptions": """
        fused_activation_function ActivationFunctionType, cell_clip float32, proj_clip float32, merge_outputs bool,
        time_major bool = true, asymmetric_quantize_inputs bool
    """,
    "BidirectionalSequenceRNNOptions": """
        time_major bool, fused_activation_function ActivationFunctionType, merge_outputs bool,
        asymmetric_quantize_inputs bool
    """,
    "BucketizeOptions": "boundaries [float32]",
    "CallOnceOptions": "init_subgraph_index int32",
    "CallOptions": "subgraph uint32",
    "CastOptions": "in_data_type TensorType, out_data_type TensorType",
    "ConcatEmbeddingsOptions": """
        num_channels int32, num_columns_per_channel [int32], embedding_dim_per_channel [int32]
    """,
    "ConcatenationOptions": "axis int32, fused_activation_function ActivationFunctionType",
    "Conv2DOptions": """
        padding Padding, stride_w int32, stride_h int32, fused_activation_function ActivationFunctionType,
        dilation_w_factor int32 = 1, dilation_h_factor int32 = 1, quantized_bias_type TensorType
    """,
    "Conv3DOptions": """
        padding Padding, stride_d int32, stride_w int32, stride_h int32,
        fused_activation_function ActivationFunctionType, dilation_d_factor int32 = 1, dilation_w_factor int32 = 1,
        dilation_h_factor int32 = 1
    """,
    "CumsumOptions": "exclusive bool, reverse bool",
    "DepthToSpaceOptions": "block_size int32",
    "DepthwiseConv2DOptions": """
        padding Padding, stride_w int32, stride_h int32, depth_multiplier int32,
        fused_activation_function ActivationFunctionType, dilation_w_factor int32 = 1, dilation_h_factor int32 = 1
    """,
    "DivOptions": "fused_activation_function ActivationFunctionType",
    "EmbeddingLookupSparseOptions": "combiner CombinerType",
    "FakeQuantOptions": "min float32, max float32, num_bits int32, narrow_range bool",
    "FullyConnectedOptions": """
        fused_activation_function ActivationFunctionType, weights_format FullyConnectedOptionsWeightsFormat,
        keep_num_dims bool, asymmetric_quantize_inputs bool, quantized_bias_type TensorType, quant_spec [uint8]
    """,
    "GatherOptions": "axis int32, batch_dims int32",
    "GeluOptions": "approximate bool",
    "HashtableOptions": "table_id int32, key_dtype TensorType, value_dtype TensorType",
    "IfOptions": "then_subgraph_index int32, else_subgraph_index int32",
    "L2NormOptions": "fused_activation_function ActivationFunctionType",
    "LeakyReluOptions": "alpha float32",
    "LocalResponseNormalizationOptions": "radius int32, bias float32, alpha float32, beta float32",
    "LSHProjectionOptions": "type LSHProjectionType",
    "LSTMOptions": """
        fused_activation_function ActivationFunctionType, cell_clip float32, proj_clip float32,
        kernel_type LSTMKernelType, asymmetric_quantize_inputs bool
    """,
    "MirrorPadOptions": "mode MirrorPadMode",
    "MulOptions": "fused_activation_function ActivationFunctionType",
    "OneHotOptions": "axis int32",
    "PackOptions": "values_count int32, axis int32",
    "Pool2DOptions": """
        padding Padding, stride_w int32, stride_h int32, filter_width int32, filter_height int32,
        fused_activation_function ActivationFunctionType
    """,
    "RandomOptions": "seed int64, seed2 int64",
    "ReducerOptions": "keep_dims bool",
    "ReduceWindowOptions": "reduce_function ReduceWindowFunction",
    "ReshapeOptions": "new_shape [int32]",
    "ResizeBilinearOptions": "-new_height int32, -new_width int32, align_corners bool, half_pixel_centers bool",
    "ResizeNearestNeighborOptions": "align_corners bool, half_pixel_centers bool",
    "ReverseSequenceOptions": "seq_dim int32, batch_dim int32",
    "RNNOptions": "fused_activation_function ActivationFunctionType, asymmetric_quantize_inputs bool",
    "SequenceRNNOptions": """
        time_major bool, fused_activation_function ActivationFunctionType, asymmetric_quantize_inputs bool
    """,
    "ShapeOptions": "out_type TensorType",
    "SkipGramOptions": "ngram_size int32, max_skip_size int32, include_all_ngrams bool",
    "SoftmaxOptions": "beta float32",
    "SpaceToDepthOptions": "block_size int32",
    "SparseToDenseOptions": "validate_indices bool",
    "SplitOptions": "num_splits int32",
    "SplitVOptions": "num_splits int32",
    "SqueezeOptions": "squeeze_dims [int32]",
    "StridedSliceOptions": """
        begin_mask int32, end_mask int32, ellipsis_mask int32, new_axis_mask int32, shrink_axis_mask int32,
        offset bool
    """,
    "SubOptions": "fused_activation_function ActivationFunctionType, pot_scale_int16 bool = true",
    "SVDFOptions": "rank int32, fused_activation_function ActivationFunctionType, asymmetric_quantize_inputs bool",
    "TransposeConvOptions": """
        padding Padding, stride_w int32, stride_h int32, fused_activation_function ActivationFunctionType,
        quantized_bias_type TensorType
    """,
    "UnidirectionalSequenceLSTMOptions": """
        fused_activation_function ActivationFunctionType, cell_clip float32, proj_clip float32, time_major bool,
        asymmetric_quantize_inputs bool, diagonal_recurrent_tensors bool
    """,
    "UniqueOptions": "idx_out_type TensorType = INT32",
    "UnpackOptions": "num int32, axis int32",
    "VarHandleOptions": "container string, shared_name string",
    "WhileOptions": "cond_subgraph_index int32, body_subgraph_index int32",
}

_STABLEHLO = {
    "StablehloBroadcastInDimOptions": "broadcast_dimensions [int64]",
    "StablehloCaseOptions": "branch_subgraph_indices [int32]",
    "StablehloCompareOptions": """
        comparison_direction StablehloComparisonDirection, compare_type StablehloComparisonType
    """,
    "StableHLOCompositeOptions": """
        name string, decomposition_subgraph_index int32, composite_attributes [uint8],
        composite_attributes_format CustomOptionsFormat, version int32
    """,
    "StablehloConcatenateOptions": "dimension int64",
    "StablehloConvolutionOptions": """
        window_strides [int64], padding [int64], lhs_dilation [int64], rhs_dilation [int64], window_reversal [bool],
        input_batch_dimension int64, input_feature_dimension int64, input_spatial_dimensions [int64],
        kernel_input_feature_dimension int64, kernel_output_feature_dimension int64,
        kernel_spatial_dimensions [int64], output_batch_dimension int64, output_feature_dimension int64,
        output_spatial_dimensions [int64], feature_group_count int64, batch_group_count int64,
        precision_config [StablehloPrecisionConfig]
    """,
    "StablehloCustomCallOptions": """
        call_target_name string, has_side_effect bool, backend_config string, api_version int32,
        called_computations [int32], custom_attributes [uint8]
    """,
    "StablehloDotGeneralOptions": """
        lhs_batching_dimensions [int64], rhs_batching_dimensions [int64], lhs_contracting_dimensions [int64],
        rhs_contracting_dimensions [int64], precision_config [StablehloPrecisionConfig]
    """,
    "StablehloDynamicSliceOptions": "slice_sizes [int64]",
    "StablehloGatherOptions": """
        offset_dims [int64], collapsed_slice_dims [int64], start_index_map [int64], index_vector_dim int64,
        slice_sizes [int64], indices_are_sorted bool
    """,
    "StablehloIotaOptions": "iota_dimension int64",
    "StablehloPadOptions": "edge_padding_low [int64], edge_padding_high [int64], interior_padding [int64]",
    "StablehloReduceOptions": "dimensions [int64], body_subgraph_index int32",
    "StablehloReduceWindowOptions": """
        window_dimensions [int64], window_strides [int64], base_dilations [int64], window_dilations [int64],
        padding [int64], body_subgraph_index int32
    """,
    "StablehloRngBitGeneratorOptions": "algorithm RngAlgorithm",
    "StablehloScatterOptions": """
        indices_are_sorted bool, update_window_dims [int64], inserted_window_dims [int64],
        scatter_dims_to_operand_dims [int64], index_vector_dim int64, unique_indices bool,
        update_computation_subgraph_index int32
    """,
    "StablehloSliceOptions": "start_indices [int64], limit_indices [int64], strides [int64]",
    "StablehloSortOptions": "dimension int64, is_stable bool, comparator_subgraph_index int32",
    "StablehloTransposeOptions": "permutation [int64]",
    "StablehloWhileOptions": "cond_subgraph_index int32, body_subgraph_index int32",
}

_WITHOUT_FIELDS = """
    AbsOptions AddNOptions AssignVariableOptions ATan2Options BatchToSpaceNDOptions BitcastOptions
    BitwiseXorOptions BroadcastToOptions CosOptions DensifyOptions DequantizeOptions DilateOptions
    DynamicUpdateSliceOptions EqualOptions ExpandDimsOptions ExpOptions FillOptions FloorDivOptions
    FloorModOptions GatherNdOptions GreaterEqualOptions GreaterOptions HardSwishOptions HashtableFindOptions
    HashtableImportOptions HashtableSizeOptions LessEqualOptions LessOptions LogicalAndOptions LogicalNotOptions
    LogicalOrOptions LogSoftmaxOptions MatrixDiagOptions MatrixSetDiagOptions MaximumMinimumOptions NegOptions
    NonMaxSuppressionV4Options NonMaxSuppressionV5Options NotEqualOptions PadOptions PadV2Options PowOptions
    QuantizeOptions RangeOptions RankOptions ReadVariableOptions ReverseV2Options Rfft2dOptions
    RightShiftOptions ScatterNdOptions SegmentSumOptions SelectOptions SelectV2Options SignOptions SliceOptions
    SpaceToBatchNDOptions SquaredDifferenceOptions SquareOptions StablehloShiftLeftOptions TileOptions
    TopKV2Options TransposeOptions UnsortedSegmentMaxOptions UnsortedSegmentMinOptions
    UnsortedSegmentProdOptions UnsortedSegmentSumOptions WhereOptions ZerosLikeOptions
"""

OPTION_TABLES = {**_BUILTIN, **_STABLEHLO, **dict.fromkeys(_WITHOUT_FIELDS.split(), "")}

_UNION_1 = """
    Conv2DOptions DepthwiseConv2DOptions ConcatEmbeddingsOptions LSHProjectionOptions Pool2DOptions
    SVDFOptions RNNOptions FullyConnectedOptions SoftmaxOptions ConcatenationOptions AddOptions
    L2NormOptions LocalResponseNormalizationOptions LSTMOptions ResizeBilinearOptions CallOptions
    ReshapeOptions SkipGramOptions SpaceToDepthOptions EmbeddingLookupSparseOptions MulOptions PadOptions
    GatherOptions BatchToSpaceNDOptions SpaceToBatchNDOptions TransposeOptions ReducerOptions SubOptions
    DivOptions SqueezeOptions SequenceRNNOptions StridedSliceOptions ExpOptions TopKV2Options SplitOptions
    LogSoftmaxOptions CastOptions DequantizeOptions MaximumMinimumOptions ArgMaxOptions LessOptions
    NegOptions PadV2Options GreaterOptions GreaterEqualOptions LessEqualOptions SelectOptions SliceOptions
    TransposeConvOptions SparseToDenseOptions TileOptions ExpandDimsOptions EqualOptions NotEqualOptions
    ShapeOptions PowOptions ArgMinOptions FakeQuantOptions PackOptions LogicalOrOptions OneHotOptions
    LogicalAndOptions LogicalNotOptions UnpackOptions FloorDivOptions SquareOptions ZerosLikeOptions
    FillOptions BidirectionalSequenceLSTMOptions BidirectionalSequenceRNNOptions
    UnidirectionalSequenceLSTMOptions FloorModOptions RangeOptions ResizeNearestNeighborOptions
    LeakyReluOptions SquaredDifferenceOptions MirrorPadOptions AbsOptions SplitVOptions UniqueOptions
    ReverseV2Options AddNOptions GatherNdOptions CosOptions WhereOptions RankOptions ReverseSequenceOptions
    MatrixDiagOptions QuantizeOptions MatrixSetDiagOptions HardSwishOptions IfOptions WhileOptions
    DepthToSpaceOptions NonMaxSuppressionV4Options NonMaxSuppressionV5Options ScatterNdOptions
    SelectV2Options DensifyOptions SegmentSumOptions BatchMatMulOptions CumsumOptions CallOnceOptions
    BroadcastToOptions Rfft2dOptions Conv3DOptions HashtableOptions HashtableFindOptions
    HashtableImportOptions HashtableSizeOptions VarHandleOptions ReadVariableOptions AssignVariableOptions
    RandomOptions BucketizeOptions GeluOptions DynamicUpdateSliceOptions UnsortedSegmentProdOptions
    UnsortedSegmentMaxOptions UnsortedSegmentMinOptions UnsortedSegmentSumOptions ATan2Options SignOptions
    BitcastOptions BitwiseXorOptions RightShiftOptions
"""

_UNION_2 = """
    StablehloConcatenateOptions StablehloBroadcastInDimOptions StablehloSliceOptions
    StablehloConvolutionOptions StablehloCustomCallOptions StablehloReduceOptions StablehloScatterOptions
    StablehloCompareOptions StablehloDynamicSliceOptions StablehloPadOptions StablehloIotaOptions
    StablehloDotGeneralOptions StablehloReduceWindowOptions StablehloSortOptions StablehloWhileOptions
    StablehloGatherOptions StablehloTransposeOptions DilateOptions StablehloRngBitGeneratorOptions
    ReduceWindowOptions StableHLOCompositeOptions StablehloShiftLeftOptions StablehloCaseOptions
"""

OPTION_UNIONS: dict[str, tuple[str, ...]] = {
    "BuiltinOptions": tuple(_UNION_1.split()),
    "BuiltinOptions2": tuple(_UNION_2.split()),
}

# Options that are not called like their op.
_SHARED: dict[str, str] = {
    "Conv3DOptions": "CONV_3D CONV_3D_TRANSPOSE",
    "L2NormOptions": "L2_NORMALIZATION",
    "MaximumMinimumOptions": "MAXIMUM MINIMUM",
    "Pool2DOptions": "AVERAGE_POOL_2D L2_POOL_2D MAX_POOL_2D",
    "RandomOptions": "MULTINOMIAL RANDOM_STANDARD_NORMAL RANDOM_UNIFORM",
    "ReducerOptions": "MEAN REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM",
    "SequenceRNNOptions": "UNIDIRECTIONAL_SEQUENCE_RNN",
}


def _op_options() -> dict[str, tuple[str, str]]:
    """{op: (field of the Operator table, options table)}. TILE has TileOptions, ADD_N AddNOptions, and so on."""
    named = {name.removesuffix("Options").upper(): name for names in OPTION_UNIONS.values() for name in names}
    shared = {op: name for name, ops in _SHARED.items() for op in ops.split()}
    fields = dict.fromkeys(OPTION_UNIONS["BuiltinOptions"], "builtin_options")
    fields |= dict.fromkeys(OPTION_UNIONS["BuiltinOptions2"], "builtin_options_2")
    chosen = {op.name: shared.get(op.name) or named.get(op.name.replace("_", "")) for op in BuiltinOperator}
    return {op: (fields[name], name) for op, name in chosen.items() if name}


# An op that is not here (RELU, LOGISTIC, CUSTOM ...) has no options.
OP_OPTIONS = _op_options()
