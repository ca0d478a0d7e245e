"""What becomes of channels behind each kind of operator, told by sending their numbers through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture import FloatGraph
from hybridquant.capture.graph import args_of, shape_for_one, weight_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.layerwise.units import unquantized

# Functions of one number with f(c x) = c f(x) for every c > 0.
_HOMOGENEOUS = frozenset({"abs", "leaky_relu", "neg", "relu"})
_POOLS = frozenset({"adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"})
_REDUCTIONS = frozenset({"amax", "amin", "mean", "sum"})
# The number of places without a channel.
NO_CHANNEL = -1


def passed_on(node: fx.Node, source: fx.Node, numbers: Tensor) -> Tensor | None:
    """Return the channel numbers of a node's result.

    Args:
        node: What reads them.
        source: Whose value they are of: one of the operators that ``node`` reads.
        numbers: Which channel each element is for one image, int64, or ``NO_CHANNEL``.

    Returns:
        The same for the result; None where ``node`` does not pass a positive factor on.
    """
    kind = node.meta["kind"]
    if kind in LAYOUT_KINDS or kind in ("cat", "pad"):
        return _moved(node, source, numbers)
    if kind in _HOMOGENEOUS:
        return numbers
    rule = _RULES.get(kind)
    return None if rule is None else rule(node, source, numbers)


def _moved(node: fx.Node, source: fx.Node, numbers: Tensor) -> Tensor | None:
    """Move the numbers as the values move; what comes from elsewhere has none."""
    if node.meta["kind"] == "reshape":
        return numbers.reshape(shape_for_one(node))

    def value(argument: fx.Node) -> Tensor:
        made = unquantized(argument)
        if made.meta["dtype"] != "float32":  # the places that index_select picks
            graph = made.graph.owning_module
            assert isinstance(graph, FloatGraph)
            return weight_of(graph, made)
        # Zeros, which padding puts in, are no channel; float64 because some moves take no integers.
        found = (
            numbers + 1 if made is source else torch.zeros(shape_for_one(made), dtype=torch.int64)
        )
        return found.double()

    args = fx.map_arg(node.args, value)
    is_constant_pad = node.target is torch.ops.aten.constant_pad_nd.default
    args = args[:2] if is_constant_pad else args
    result: Tensor = node.target(*args, **node.kwargs)  # type: ignore[operator]
    return result.long() - 1


def _scaled(node: fx.Node, source: fx.Node, numbers: Tensor) -> Tensor | None:
    """A product with a number or a tensor; of a quotient, the dividend."""
    first, second = _operands(node)
    if first is second or (node.meta["kind"] == "div" and first is not source):
        return None
    if not isinstance(second, fx.Node):
        is_positive = isinstance(second, int | float) and second > 0
        return numbers if is_positive else None
    shape = shape_for_one(node)
    is_broadcast = all(n in (1, m) for n, m in zip(numbers.shape[::-1], shape[::-1], strict=False))
    return numbers.expand(shape) if is_broadcast else None


def _mixed(node: fx.Node, source: fx.Node, numbers: Tensor) -> Tensor | None:
    """A matrix product mixes rows, or columns, that have the same channel all along."""
    first, second = _operands(node)
    if first is second:
        return None
    axis = -1 if first is source else -2  # that is summed over
    kept = numbers.narrow(axis, 0, 1)
    if not bool((numbers == kept).all()):
        return None
    return kept.expand(shape_for_one(node))


def _pooled(node: fx.Node, _source: fx.Node, numbers: Tensor) -> Tensor | None:
    kept = numbers[:, :, :1, :1]
    return kept.expand(shape_for_one(node)) if bool((numbers == kept).all()) else None


def _reduced(node: fx.Node, _source: fx.Node, numbers: Tensor) -> Tensor | None:
    kept = numbers
    for axis in args_of(node)[1]:
        kept = kept.narrow(axis, 0, 1)
    return kept.reshape(shape_for_one(node)) if bool((numbers == kept).all()) else None


_RULES: dict[str, Callable[[fx.Node, fx.Node, Tensor], Tensor | None]] = {
    **dict.fromkeys(_POOLS, _pooled),
    **dict.fromkeys(_REDUCTIONS, _reduced),
    **dict.fromkeys(("mul", "div"), _scaled),
    "matmul": _mixed,
}


def _operands(node: fx.Node) -> list[Any]:
    """Return the two operands, fake-quantization aside; the second may be a number."""
    return [unquantized(x) if isinstance(x, fx.Node) else x for x in args_of(node)[:2]]
