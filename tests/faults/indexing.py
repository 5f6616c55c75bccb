"""Faults: parts, indices and order."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "an axis of one index stays",
        "kernels/slice.py",
        "if not options.shrink_axis_mask & bit:\n                kept",
        "if True:\n                kept",
        "kernels/test_slice.py::test_masks_are_those_of_python",
    ),
    Fault(
        "a negative stride stops before the first",
        "kernels/slice.py",
        "low, high = (0, n) if forward else (-1, n - 1)",
        "low, high = (0, n) if forward else (0, n - 1)",
        "kernels/test_slice.py::test_strided_slice[int8]",
    ),
    Fault(
        "a mirror always repeats the border",
        "kernels/pad.py",
        'mode = site.enum("mode", "MirrorPadMode").lower()',
        'mode = "symmetric"',
        "kernels/test_pad.py::test_reflect_leaves_the_border_out_and_symmetric_repeats_it",
    ),
    Fault(
        "what is padded behind is taken for what is padded before",
        "kernels/pad.py",
        "for n, (before, _) in zip(x.known_shape, paddings, strict=True))",
        "for n, (_, before) in zip(x.shape, paddings, strict=True))",
        "kernels/test_pad.py::test_pad[float32]",
    ),
    Fault(
        "indices are not checked",
        "kernels/index_ops.py",
        "bad = (indices < 0) | (indices >= limit)",
        "bad = indices < 0",
        "kernels/test_index_ops.py::test_an_unknown_index_is_an_error",
    ),
    Fault(
        "the batches of GATHER go over the wrong axes",
        "kernels/index_ops.py",
        "[rows, :, indices.reshape(batch, -1)]",
        "[rows[::-1], :, indices.reshape(batch, -1)]",
        "kernels/test_index_ops.py::test_gather_with_batches",
    ),
    Fault(
        "of equals the last comes first",
        "kernels/order.py",
        'order = np.argsort(falling, axis=-1, kind="stable")[..., :k]',
        'order = np.argsort(~falling, axis=-1, kind="stable")[..., ::-1][..., :k]',
        "kernels/test_order.py::test_the_first_of_equals_wins",
    ),
    Fault(
        "classes of one score come in their own order",
        "kernels/detection.py",
        "return smallest(-scores, count)",
        "return order[:count]",
        "kernels/test_detection.py::test_detection[False-0-True]",
    ),
    Fault(
        "boxes are suppressed by their part of the better one",
        "kernels/detection.py",
        "shared / (areas[box] + areas - shared)",
        "shared / areas[box]",
        "kernels/test_detection.py::test_detection[True-0-False]",
    ),
    Fault(
        "the background counts as a class",
        "kernels/detection.py",
        "predictions[:, background:]",
        "predictions[:, : predictions.shape[1] - background]",
        "kernels/test_detection.py::test_a_box_gives_way_to_a_better_one_at_its_place",
    ),
]
