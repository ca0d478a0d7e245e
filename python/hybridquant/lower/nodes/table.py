"""Functions of one number: a table with the output code of each input code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import ChannelOperand, Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import AnyCodes, ChannelCodes, Codes
from hybridquant.lower.lowering import CHANNEL_LOWERINGS, LOWERINGS, Lowering
from hybridquant.lower.tables import add_table, table_input

KINDS = (
    *("abs", "clamp", "cos", "elu", "erf", "exp", "gelu", "hardsigmoid", "hardswish"),
    *("leaky_relu", "log", "neg", "pow", "relu", "rsqrt", "sigmoid", "silu", "sin", "softplus"),
    *("sqrt", "tanh"),
)


def lower_table(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a table made by the operator itself, in float64, on every value the codes stand for.

    Where that is infinite, as an inverse at 0, it is the largest or smallest code.
    """
    x = table_input(lowering, node, wanted)
    assert x is not None
    return add_table(lowering, node, x, wanted, _numbers(node, x.codes))


def lower_table_by_channel(
    lowering: Lowering, node: fx.Node, wanted: ChannelCodes
) -> ChannelOperand | None:
    """Add a table for each channel."""
    x = table_input(lowering, node, wanted)
    return None if x is None else add_table(lowering, node, x, wanted, _numbers(node, x.codes))


@LOWERINGS.register("prelu")
def lower_prelu(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a table for each channel, or one where they have one slope and scale."""
    x = table_input(lowering, node, wanted)
    if x is None or (isinstance(x.codes, ChannelCodes) and x.codes.axis != 1):
        x = lowering.operand(node, 0)
    return add_table(lowering, node, x, wanted, _prelu_values(lowering, node, x.codes))


@CHANNEL_LOWERINGS.register("prelu")
def lower_prelu_by_channel(
    lowering: Lowering, node: fx.Node, wanted: ChannelCodes
) -> ChannelOperand | None:
    """Add a table for each channel."""
    x = table_input(lowering, node, wanted) if wanted.axis == 1 else None
    if x is None:
        return None
    return add_table(lowering, node, x, wanted, _prelu_values(lowering, node, x.codes))


def _prelu_values(lowering: Lowering, node: fx.Node, codes: AnyCodes) -> Tensor:
    values, slopes = codes.all_values(), lowering.constant_of(node, 1).flatten()
    factors = slopes if len(slopes) == 1 else slopes[:, None]
    return torch.where(values > 0, values, values * factors)


def table_values(node: fx.Node, codes: AnyCodes) -> Tensor:
    """Return what an operator makes of every value that its input's codes stand for, float64.

    Raises:
        CannotLowerError: If it reads a second tensor.
    """
    function: Callable[..., Tensor] = node.target  # type: ignore[assignment]
    rest: list[Any] = list(args_of(node)[1:])
    if any(isinstance(argument, fx.Node) for argument in rest):
        msg = "reads a second tensor, and only numbers fit into a table"
        raise CannotLowerError(msg)
    return function(codes.all_values(), *rest, **node.kwargs)


def _numbers(node: fx.Node, codes: AnyCodes) -> Tensor:
    """Return the values of a table, none of which may be NaN."""
    values = table_values(node, codes)
    if bool(values.isnan().any()):
        code = codes.lowest + int(values.isnan().nonzero()[0][-1])
        msg = f"is not a number at code {code} of its input; narrow the input's range"
        raise CannotLowerError(msg)
    return values


LOWERINGS.register("table")(lower_table)
CHANNEL_LOWERINGS.register("table")(lower_table_by_channel)
for _kind in KINDS:
    LOWERINGS.register(_kind)(lower_table)
    CHANNEL_LOWERINGS.register(_kind)(lower_table_by_channel)
