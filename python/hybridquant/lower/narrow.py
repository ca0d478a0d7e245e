"""Slices of a product's channels: the product of only these channels.

Attention often has one product for queries, keys and values. Each is read in codes of its own, so
that the product would be computed three times, and two thirds thrown away each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.lower.builder import Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import Lowering
from hybridquant.lower.product_constants import Weights
from hybridquant.lower.products import add_product, factors_of


@dataclass(frozen=True)
class _Narrowed:
    """A product of some channels, and how its values are moved to where a slice has them.

    Args:
        source: The product.
        channels: Which of its outputs.
        moves: Nodes between the product and the slice, with the shape of what each makes.
    """

    source: fx.Node
    channels: Tensor
    moves: list[tuple[fx.Node, tuple[int, ...]]]


def narrowed_product(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand | None:
    """Return what a slice reads of a product; None where it is no part of a product's channels.

    Args:
        lowering: The lowering.
        node: The slice.
        wanted: Codes of the result.
    """
    found = _find(node)
    if found is None:
        return None
    source, keep = found.source, found.channels
    try:
        x, weights = factors_of(lowering, source)
    except CannotLowerError:
        return None  # the lowering of the product says what is wrong
    weights = Weights(weights.codes[keep], weights.scales[keep], weights.bias[keep])
    shape = _with(shape_for_one(source), _channel_axis(source), len(keep))
    result = add_product(lowering, source, wanted, x, weights, shape=shape)
    for move, sizes in found.moves:
        if move.meta["kind"] == "reshape":
            result = lowering.reshaped(move, result, sizes)
        else:
            axes = [axis % len(sizes) for axis in args_of(move)[1]]
            result = lowering.add("permute", move, [result], wanted, {"axes": axes}, shape=sizes)
    return result


def _find(node: fx.Node) -> _Narrowed | None:
    """Return which channels of which product a slice reads, and how they get there."""
    moves: list[fx.Node] = []
    source = args_of(node)[0]
    while source.meta["kind"] in ("reshape", "permute"):
        moves.insert(0, source)
        source = args_of(source)[0]
    kind = source.meta["kind"]
    if kind != "linear" and (kind != "conv2d" or args_of(source)[6] != 1):
        return None
    narrowed = _narrowed_moves(node, moves)
    shape, axis = shape_for_one(source), _channel_axis(source)
    sizes = _with((1,) * len(shape), axis, shape[axis])
    channels = torch.arange(shape[axis]).reshape(sizes).expand(shape)
    keep = _moved(channels, moves, node).unique()
    count = math.prod(shape) // shape[axis] * len(keep)
    if narrowed is None or len(keep) == shape[axis] or count != math.prod(shape_for_one(node)):
        return None
    # Element for element: where channels and pixels were mixed, others would come out.
    elements = torch.arange(math.prod(shape)).reshape(shape)
    part = elements.index_select(axis, keep)
    for move, move_sizes in narrowed:
        is_reshape = move.meta["kind"] == "reshape"
        part = part.reshape(move_sizes) if is_reshape else part.permute(args_of(move)[1])
    if not torch.equal(part, _moved(elements, moves, node)):
        return None
    return _Narrowed(source, keep, narrowed)


def _narrowed_moves(
    node: fx.Node, moves: list[fx.Node]
) -> list[tuple[fx.Node, tuple[int, ...]]] | None:
    """Return the moves with the shapes that they make of the sliced part alone.

    The sliced axis is followed back to the product; None where a reshape merges or splits it on
    the way, the first one excepted, which makes it from the channels.
    """
    axis = args_of(node)[1] % len(node.meta["shape"])
    length = shape_for_one(node)[axis]
    narrowed: list[tuple[fx.Node, tuple[int, ...]]] = []
    for move in reversed(moves):
        shape = shape_for_one(move)
        narrowed.insert(0, (move, _with(shape, axis, length)))
        if move.meta["kind"] == "permute":
            axis = args_of(move)[1][axis] % len(shape)
        elif move is not moves[0]:
            before = shape_for_one(args_of(move)[0])
            places = [i for i, size in enumerate(before) if size == shape[axis]]
            same = [i for i in places if math.prod(before[:i]) == math.prod(shape[:axis])]
            if not same:
                return None
            axis = same[0]
    return narrowed


def _moved(values: Tensor, moves: list[fx.Node], node: fx.Node) -> Tensor:
    """Return what the moves and the slice make of ``values``, those of one image."""
    for move in moves:
        is_reshape = move.meta["kind"] == "reshape"
        values = (
            values.reshape(shape_for_one(move)) if is_reshape else values.permute(args_of(move)[1])
        )
    _, axis, *bounds = args_of(node)
    index = torch.arange(values.shape[axis])[slice(*bounds)]
    return values.index_select(axis, index)


def _channel_axis(source: fx.Node) -> int:
    return 1 if source.meta["kind"] == "conv2d" else len(source.meta["shape"]) - 1


def _with(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])
