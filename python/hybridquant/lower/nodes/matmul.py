"""Products of two activations."""

from __future__ import annotations

from torch import fx

from hybridquant.lower.fixed_point import multiplier
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, CannotLowerError, Lowering, Operand


@LOWERINGS.register("matmul")
def lower_matmul(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a matrix product of two quantized inputs."""
    x, y = (lowering.operand_or_sums(node, position) for position in (0, 1))
    largest = x.shape[-1] * x.codes.magnitude * y.codes.magnitude
    if largest >= 2**47:
        msg = f"its sums may reach {largest}, beyond 2^47; use fewer bits"
        raise CannotLowerError(msg)
    if wanted.dtype == "int64":
        return lowering.add("matmul_sums", node, [x, y], wanted)
    m, shift = multiplier(x.codes.scale * y.codes.scale / wanted.scale)
    return lowering.add("matmul", node, [x, y], wanted, {"m": m, "shift": shift})


@LOWERINGS.register("mul")
def lower_mul(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add an element-wise product; by a number it is a table."""
    if not isinstance(node.args[1], fx.Node):
        return LOWERINGS["table"](lowering, node, wanted)
    x, y = lowering.operand(node, 0), lowering.operand(node, 1)
    m, shift = multiplier(x.codes.scale * y.codes.scale / wanted.scale)
    return lowering.add("mul", node, [x, y], wanted, {"m": m, "shift": shift})


@LOWERINGS.register("div")
def lower_div(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add an element-wise quotient."""
    x, y = (lowering.operand_or_sums(node, position) for position in (0, 1))
    m, shift = multiplier(x.codes.scale / (y.codes.scale * wanted.scale), bits=15)
    if y.codes.magnitude << (shift + 1) >= 2**62 or 2 * x.codes.magnitude * m >= 2**62:
        msg = f"its quotient takes more than 62 bits with shift {shift}; use fewer bits"
        raise CannotLowerError(msg)
    return lowering.add("div", node, [x, y], wanted, {"m": m, "shift": shift})
