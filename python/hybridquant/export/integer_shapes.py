"""The shape of what each integer node computes, from its inputs, attributes and constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridquant.lower.int_graph import IntNode

Inputs = Sequence[Tensor]
ShapeOf = Callable[[Inputs, IntNode], Sequence[int]]

_RESIZE_ONE = 2**11


def output_shape(
    shape_of: ShapeOf, node: IntNode, shapes: Sequence[Sequence[int]]
) -> tuple[int, ...]:
    """Return the shape of a node's output.

    Args:
        shape_of: The function below that belongs to the node.
        node: Its attributes and constants are of the types that docs/format.md has.
        shapes: Of the inputs.

    Raises:
        ValueError: If inputs, attributes and constants do not fit each other.

    Example:
        >>> node = IntNode("permute", ("x",), "y", "", {"axes": [0, 2, 1]})
        >>> output_shape(permute, node, [(1, 5, 8)])
        (1, 8, 5)
    """
    inputs = [torch.empty(tuple(shape), device="meta") for shape in shapes]
    try:
        return tuple(shape_of(inputs, node))
    except (IndexError, OverflowError, RuntimeError, TypeError) as error:
        raise ValueError(str(error).strip().splitlines()[0]) from error


def same(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape of the first input."""
    del node
    return inputs[0].shape


def conv2d(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape of a convolution."""
    a = node.attributes
    weight = torch.empty(node.constants["weight"].shape, device="meta")
    options = (a["stride"], a["padding"], a["dilation"], a["groups"])
    return F.conv2d(inputs[0], weight, None, *options).shape


def linear(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape with the output's features last."""
    return (*inputs[0].shape[:-1], len(node.constants["weight"]))


def matmul(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape of a product of stacks of matrices."""
    del node
    return torch.matmul(*inputs).shape


def broadcast(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape that the inputs are repeated to."""
    del node
    shape: Sequence[int] = torch.broadcast_shapes(*(x.shape for x in inputs))
    return shape


def softmax(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape of the input; the exponential of the largest code is above 0."""
    _require(int(node.constants["table"][0]) > 0, "table begins with 0")
    return inputs[0].shape


def levels(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape of the input; there is a threshold between two levels."""
    thresholds, count = node.constants["thresholds"], len(node.constants["levels"])
    _require(len(thresholds) == count - 1, f"{count} levels have {len(thresholds)} thresholds")
    _require(bool((thresholds.diff() >= 0).all()), "thresholds must not decrease")
    return inputs[0].shape


def layer_norm(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the input's shape; ``count`` is the product of its last sizes."""
    shape, count = inputs[0].shape, node.attributes["count"]
    counts = [math.prod(shape[axis:]) for axis in range(len(shape))]
    _require(count in counts, f"count {count} is not the product of the last sizes of {[*shape]}")
    return shape


def group_norm(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the input's shape; ``count`` is the size of a group."""
    shape, groups = inputs[0].shape, node.attributes["groups"]
    _require(shape[1] % groups == 0, f"{shape[1]} channels are not divisible by {groups} groups")
    count = math.prod(shape[1:]) // groups
    _require(count == node.attributes["count"], f"a group has {count} codes, which count is not")
    return shape


def mean(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape without the axes, or with 1 in their place."""
    a = node.attributes
    return inputs[0].sum(a["axes"], keepdim=a["keepdim"]).shape


def avg_pool2d(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape of an average pooling."""
    a = node.attributes
    return F.avg_pool2d(inputs[0], a["kernel"], a["stride"], a["padding"]).shape


def max_pool2d(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape of a maximum pooling."""
    a = node.attributes
    return F.max_pool2d(inputs[0], a["kernel"], a["stride"], a["padding"]).shape


def resize_bilinear(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape with as many rows and columns as there are weights."""
    shape, sizes = list(inputs[0].shape), {}
    for axis, name in ((-2, "rows"), (-1, "columns")):
        for key in ("low", "high"):
            places = node.constants[f"{name}_{key}"]
            largest = int(places.max())
            _require(largest < shape[axis], f"{name}_{key} reaches {largest} of {shape[axis]}")
        sizes[axis] = len(node.constants[f"{name}_weight"])
        largest = int(node.constants[f"{name}_weight"].max())
        _require(largest <= _RESIZE_ONE, f"{name}_weight reaches {largest}, beyond {_RESIZE_ONE}")
    return (*shape[:-2], sizes[-2], sizes[-1])


def reshape(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape that the attribute has."""
    return inputs[0].reshape(node.attributes["shape"]).shape


def expand(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape that axes of size 1 are repeated to."""
    return inputs[0].expand(node.attributes["shape"]).shape


def permute(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the reordered shape."""
    return inputs[0].permute(node.attributes["axes"]).shape


def slice(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape with a part of an axis."""
    a, shape = node.attributes, list(inputs[0].shape)
    size = shape[a["axis"]]
    _require(a["start"] < a["stop"] <= size, f"start must be below stop, and stop at most {size}")
    shape[a["axis"]] = len(range(a["start"], a["stop"], a["step"]))
    return shape


def index_select(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape with as many places as the index has."""
    axis, shape, index = node.attributes["axis"], list(inputs[0].shape), node.constants["index"]
    _require(int(index.max()) < shape[axis], f"index reaches {int(index.max())} of {shape[axis]}")
    shape[axis] = len(index)
    return shape


def cat(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape of a concatenation."""
    return torch.cat(list(inputs), node.attributes["axis"]).shape


def pad(inputs: Inputs, node: IntNode) -> Sequence[int]:
    """Return the shape with the amounts added."""
    return F.pad(inputs[0], node.attributes["amounts"]).shape


def _require(is_legal: bool, message: str) -> None:
    if not is_legal:
        raise ValueError(message)
