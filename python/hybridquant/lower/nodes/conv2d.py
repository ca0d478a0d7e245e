"""Convolutions: 8-bit weights, 32-bit sums, one rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.fixed_point import multipliers
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, CannotLowerError, Lowering, Operand

_INT32 = 2**31


@LOWERINGS.register("conv2d")
def lower_conv2d(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a convolution with its weights, bias and one multiplier for each output channel."""
    stride, padding, dilation, groups = args_of(node)[3:7]
    attributes = {
        "stride": list(stride),
        "padding": list(padding),
        "dilation": list(dilation),
        "groups": groups,
    }
    return product(lowering, node, wanted, "conv2d", attributes)


@LOWERINGS.register("linear")
def lower_linear(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a linear layer with its weights, bias and one multiplier for each output channel."""
    return product(lowering, node, wanted, "linear", {})


def product(
    lowering: Lowering, node: fx.Node, wanted: Codes, op: str, attributes: dict[str, Any]
) -> Operand:
    """Add a product with a constant weight."""
    x = lowering.operand(node, 0)
    weight, scales = lowering.weight(node, 1)
    bias = lowering.parameter(node, 2)
    steps = scales * x.codes.scale
    codes = torch.zeros(len(scales)) if bias is None else torch.round(bias / steps)
    _check_sums(weight, codes, x.codes)
    m, shift = multipliers(steps / wanted.scale)
    constants = {"weight": weight, "bias": codes.to(torch.int32), "m": m, "shift": shift}
    return lowering.add(op, node, [x], wanted, attributes, constants)


def _check_sums(weight: Tensor, bias: Tensor, codes: Codes) -> None:
    """Raise where a sum may leave 32 bits; of 16-bit codes, 47 bits."""
    sums = weight.long().abs().flatten(1).sum(1) * codes.magnitude + bias.abs().long()
    limit = _INT32 if codes.count <= 256 else 2**47
    largest = int(sums.max())
    if largest >= limit or bool((bias.abs() >= _INT32).any()):
        msg = f"its sums may reach {largest}, beyond {limit}; use fewer bits or a larger scale"
        raise CannotLowerError(msg)
