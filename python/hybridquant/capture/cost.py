"""What an operator costs: weights and multiply-accumulates."""

from __future__ import annotations

import math

from torch import fx

from hybridquant.capture.graph import FloatGraph, args_of, shape_for_one, weight_of


def num_weights(graph: FloatGraph, node: fx.Node) -> int:
    """Return how many float weights and constants ``node`` reads."""
    tensors = [weight_of(graph, n) for n in node.all_input_nodes if n.op == "get_attr"]
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())


def num_macs(node: fx.Node) -> int:
    """Return the multiply-accumulates of ``node`` for one image; 0 for all but products.

    Padding counts as if it were data, as usual.
    """
    kind = node.meta["kind"]
    if kind in ("conv1d", "conv2d", "conv3d"):
        return num_elements(node) * _kernel_size(node)
    if kind == "conv_transpose2d":
        return num_elements(args_of(node)[0]) * _kernel_size(node)
    if kind in ("linear", "matmul"):
        return num_elements(node) * int(args_of(node)[0].meta["shape"][-1])
    return 0


def _kernel_size(node: fx.Node) -> int:
    """Return the weights that one output (of a transposed convolution: one input) meets."""
    shape: tuple[int, ...] = args_of(node)[1].meta["shape"]
    return math.prod(shape[1:])


def num_elements(node: fx.Node) -> int:
    """Return how many values ``node`` yields for one image."""
    return math.prod(shape_for_one(node))
