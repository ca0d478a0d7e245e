"""L2 norms: quotients of a tensor by the lengths of its rows."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import common_multipliers, l2_epsilon
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering
from hybridquant.lower.patterns import find_l2_norm

# A normalised code has 20 fraction bits.
_STEP = 2.0**-20


@LOWERINGS.register("l2_norm")
def lower_l2_norm(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add an L2 norm for a ``div`` that divides rows by their lengths.

    The lengths themselves are not rounded: they are in no codes.
    """
    found = find_l2_norm(node)
    assert found is not None
    norm, epsilon = found
    source = node if lowering.fake_quant(args_of(node)[0]) else norm
    axis = args_of(norm)[2][0]
    x = lowering.swapped(node, lowering.operand(source, 0), axis)
    count = x.shape[-1]
    if count >= 2**20:
        msg = f"must be over fewer than 2^20 codes, got {count}"
        raise CannotLowerError(msg)
    factors = torch.full((count,), _STEP / wanted.scale, dtype=torch.float64)
    m, shift = common_multipliers(factors)
    attributes = {"epsilon": l2_epsilon(epsilon, x.codes.scale), "shift": shift}
    constants = {"m": m, "beta": torch.zeros(count, dtype=torch.int64)}
    result = lowering.add("l2_norm", node, [x], wanted, attributes, constants, x.shape)
    return lowering.swapped(node, result, axis)
