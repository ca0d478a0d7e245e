"""Functions of one number: a table with the output code of each input code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import DTYPES, Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering, Operand

KINDS = (
    *("abs", "clamp", "cos", "elu", "erf", "exp", "gelu", "hardsigmoid", "hardswish"),
    *("leaky_relu", "log", "neg", "pow", "relu", "rsqrt", "sigmoid", "silu", "sin", "softplus"),
    *("sqrt", "tanh"),
)


def lower_table(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a table made by the operator itself, in float64, on every value the codes stand for.

    Where that is infinite, as an inverse at 0, it is the largest or smallest code.
    """
    values = table_values(lowering, node)
    x = lowering.operand(node, 0)
    if bool(values.isnan().any()):
        code = x.codes.lowest + int(values.isnan().nonzero()[0])
        msg = f"is not a number at code {code} of its input; narrow the input's range"
        raise CannotLowerError(msg)
    table = wanted.quantize(values).to(DTYPES[wanted.dtype])
    return lowering.add("table", node, [x], wanted, constants={"table": table})


@LOWERINGS.register("prelu")
def lower_prelu(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a table for each channel."""
    x, slopes = lowering.operand(node, 0), lowering.constant_of(node, 1).flatten()
    values = x.codes.all_values()
    rows = torch.where(values > 0, values, values * slopes[:, None])
    if len(slopes) == 1:
        constants = {"table": wanted.quantize(rows[0]).to(DTYPES[wanted.dtype])}
        return lowering.add("table", node, [x], wanted, constants=constants)
    constants = {"table": wanted.quantize(rows).to(DTYPES[wanted.dtype])}
    return lowering.add("channel_table", node, [x], wanted, constants=constants)


def table_values(lowering: Lowering, node: fx.Node) -> Tensor:
    """Return what an operator makes of every value that its input's codes stand for, float64.

    Raises:
        CannotLowerError: If its input is not quantized, or it reads a second tensor.
    """
    x = lowering.operand(node, 0)
    function: Callable[..., Tensor] = node.target  # type: ignore[assignment]
    rest: list[Any] = list(args_of(node)[1:])
    if any(isinstance(argument, fx.Node) for argument in rest):
        msg = "reads a second tensor, and only numbers fit into a table"
        raise CannotLowerError(msg)
    return function(x.codes.all_values(), *rest, **node.kwargs)


LOWERINGS.register("table")(lower_table)
for _kind in KINDS:
    LOWERINGS.register(_kind)(lower_table)
