"""Functions of one number: a table with the output code of each input code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.int_graph import DTYPES, Codes
from hybridquant.lower.lowering import LOWERINGS, CannotLowerError, Lowering, Operand

KINDS = (
    *("abs", "clamp", "cos", "elu", "erf", "exp", "gelu", "hardsigmoid", "hardswish"),
    *("leaky_relu", "log", "neg", "pow", "relu", "rsqrt", "sigmoid", "silu", "sin", "softplus"),
    *("sqrt", "tanh"),
)


def lower_table(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a table made by the operator itself, in float64, on every value the codes stand for."""
    x = lowering.operand(node, 0)
    function: Callable[..., Tensor] = node.target  # type: ignore[assignment]
    rest: list[Any] = list(args_of(node)[1:])
    if any(isinstance(argument, fx.Node) for argument in rest):
        msg = "reads a second tensor, and only numbers fit into a table"
        raise CannotLowerError(msg)
    values = function(x.codes.all_values(), *rest, **node.kwargs)
    if not bool(values.isfinite().all()):
        code = x.codes.lowest + int((~values.isfinite()).nonzero()[0])
        msg = f"is not finite at code {code} of its input; narrow the input's range"
        raise CannotLowerError(msg)
    table = wanted.quantize(values).to(DTYPES[wanted.dtype])
    return lowering.add("table", node, [x], wanted, constants={"table": table})


LOWERINGS.register("table")(lower_table)
for _kind in KINDS:
    LOWERINGS.register(_kind)(lower_table)
