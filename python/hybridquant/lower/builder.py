"""What builds an IntGraph, node by node."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import shape_for_one
from hybridquant.lower.fixed_point import check_requantized, multiplier
from hybridquant.lower.int_graph import (
    DTYPES,
    AnyCodes,
    ChannelCodes,
    Codes,
    IntGraph,
    IntNode,
    IntTensor,
)
from hybridquant.lower.product_constants import Weights, product_constants
from hybridquant.lower.reader import Reader
from hybridquant.quant_graph import QuantGraph

C = TypeVar("C", bound=AnyCodes)
C_co = TypeVar("C_co", bound=AnyCodes, covariant=True)
_NARROW = ("uint8", "int8", "int16")
# Weight of the convolutions that change codes channel by channel; their scale divides by it. So
# large because a zero-point is rounded to one over it.
_UNIT = 127


@dataclass(frozen=True)
class Form(Generic[C_co]):
    """A value in integers.

    Args:
        name: Of the tensor in the IntGraph.
        shape: Sizes for one image.
        codes: What its codes mean.
    """

    name: str
    shape: tuple[int, ...]
    codes: C_co


# An operator's input in integers, of one scale; and of one a channel.
Operand = Form[Codes]
ChannelOperand = Form[ChannelCodes]


def with_axis(codes: C, axis: int) -> C:
    """Return codes whose channels, where each has a scale, lie on another axis."""
    if not isinstance(codes, ChannelCodes):
        return codes
    return cast(C, replace(codes, axis=axis))


class Builder(Reader):
    """Adds nodes to an IntGraph, each with the tensor that it computes.

    Args:
        graph: The QuantGraph that they come from.
    """

    def __init__(self, graph: QuantGraph) -> None:
        super().__init__(graph)
        self.result = IntGraph()

    def constant(self, name: str, value: Tensor, codes: C) -> Form[C]:
        """Add a constant tensor of codes and return it."""
        stored = value.to(DTYPES[codes.dtype]).contiguous()
        return self.add_tensor(name, tuple(value.shape), codes, stored)

    def add(
        self,
        op: str,
        node: fx.Node,
        inputs: Sequence[Form[Any]],
        codes: C,
        attributes: Mapping[str, Any] | None = None,
        constants: Mapping[str, Tensor] | None = None,
        shape: Sequence[int] | None = None,
    ) -> Form[C]:
        """Add a node and return its output.

        Args:
            op: Kind of the node.
            node: The QuantGraph's node that it computes.
            inputs: What it reads.
            codes: What its output's codes mean.
            attributes: Of the node.
            constants: Of the node.
            shape: Of the output for one image; by default that of ``node``. Another is a part of
                it, or a step on the way to it, and its name ends in ``op`` if that is another kind.
        """
        own = shape_for_one(node)
        sizes = own if shape is None else tuple(shape)
        name = node.name if sizes == own or op == node.meta["kind"] else f"{node.name}_{op}"
        output = self.add_tensor(name, sizes, codes)
        names = tuple(operand.name for operand in inputs)
        path = node.meta["path"]
        made = IntNode(op, names, output.name, path, dict(attributes or {}), dict(constants or {}))
        self.result.nodes.append(made)
        return output

    def add_tensor(
        self, name: str, shape: tuple[int, ...], codes: C, value: Tensor | None = None
    ) -> Form[C]:
        """Add a tensor, under a name of its own, and return it."""
        if isinstance(codes, ChannelCodes):
            assert shape[codes.axis] == len(codes.scales), (name, shape, codes.axis)
        name = self._free(name)
        self.result.tensors[name] = IntTensor(name, shape, codes, value)
        return Form(name, shape, codes)

    def reshaped(self, node: fx.Node, x: Form[C], shape: Sequence[int]) -> Form[C]:
        """Return ``x`` with another shape; channels with scales of their own keep their axis."""
        if x.shape == tuple(shape):
            return x
        return self.add("reshape", node, [x], x.codes, {"shape": list(shape)}, shape=shape)

    def permuted(self, node: fx.Node, x: Form[C], axes: Sequence[int]) -> Form[C]:
        """Return ``x`` with its axes in another order."""
        if list(axes) == sorted(axes):
            return x
        shape, codes = [x.shape[axis] for axis in axes], x.codes
        if isinstance(codes, ChannelCodes):
            codes = with_axis(codes, list(axes).index(codes.axis))
        return self.add("permute", node, [x], codes, {"axes": list(axes)}, shape=shape)

    def swapped(self, node: fx.Node, x: Form[C], axis: int, other: int = -1) -> Form[C]:
        """Return ``x`` with ``axis`` and another, by default the last, swapped."""
        axes = list(range(len(x.shape)))
        axes[axis], axes[other] = axes[other], axes[axis]
        return self.permuted(node, x, axes)

    def requantized(
        self, node: fx.Node, x: Form[AnyCodes], wanted: C, factor: float = 1.0
    ) -> Form[C]:
        """Return ``factor`` times ``x``, the value of ``node``, in other codes."""
        if x.codes == wanted and factor == 1:
            return Form(x.name, x.shape, wanted)
        codes = x.codes
        if isinstance(wanted, ChannelCodes):
            axis = codes.axis if isinstance(codes, ChannelCodes) else wanted.axis
            if axis == wanted.axis and codes.dtype in _NARROW:
                return self._by_channel(node, x, wanted, axis, factor)
            common = self.requantized(node, x, wanted.common(), factor)
            return self._by_channel(node, common, wanted, wanted.axis)
        if isinstance(codes, ChannelCodes):
            return self._by_channel(node, x, wanted, codes.axis, factor)
        m, shift = multiplier(codes.scale * factor / wanted.scale)
        check_requantized(codes.magnitude, m, shift)
        attributes = {"m": m, "shift": shift}
        return self.add("requantize", node, [x], wanted, attributes, shape=x.shape)

    def _by_channel(
        self, node: fx.Node, x: Form[AnyCodes], wanted: C, axis: int, factor: float = 1.0
    ) -> Form[C]:
        """Add a depthwise convolution of single taps: a multiplier and a bias for each channel."""
        rank, channels = len(x.shape), x.shape[axis]
        order = [0, axis, *(i for i in range(1, rank) if i != axis)]
        before = self.permuted(node, x, order)
        image = before
        if rank != 4:
            rest = math.prod(before.shape[2:])
            image = self.reshaped(node, before, (before.shape[0], channels, rest, 1))
        ones = torch.full((channels, 1, 1, 1), _UNIT, dtype=torch.int8)
        scales = torch.full((channels,), factor / _UNIT, dtype=torch.float64)
        weights = Weights(ones, scales, torch.zeros_like(scales))
        codes = with_axis(wanted, 1)
        constants = product_constants(weights, image.codes, codes, channels)
        window = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": channels}
        made = self.add("conv2d", node, [image], codes, window, constants, image.shape)
        result = self.reshaped(node, made, before.shape)
        return self.permuted(node, result, [order.index(i) for i in range(rank)])

    def _free(self, name: str) -> str:
        taken, number = name, 1
        while taken in self.result.tensors:
            number += 1
            taken = f"{name}_{number}"
        return taken
