"""Layer, group and root-mean-square normalisation."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import norm_parameters
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering, Operand

# Normalised values are below the root of it, and fit 30 bits with 20 behind the point.
_LARGEST_COUNT = 2**20


@LOWERINGS.register("layer_norm")
def lower_layer_norm(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a layer norm over the last axes."""
    sizes, epsilon = list(args_of(node)[1]), args_of(node)[4]
    gamma, beta = lowering.parameter(node, 2), lowering.parameter(node, 3)
    return _normalize(lowering, node, wanted, math.prod(sizes), (gamma, beta, epsilon), {})


@LOWERINGS.register("rms_norm")
def lower_rms_norm(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a root-mean-square norm over the last axes."""
    sizes, epsilon = list(args_of(node)[1]), args_of(node)[3]
    epsilon = torch.finfo(torch.float32).eps if epsilon is None else epsilon
    gamma = lowering.parameter(node, 2)
    attributes = {"is_centred": False}
    return _normalize(lowering, node, wanted, math.prod(sizes), (gamma, None, epsilon), attributes)


@LOWERINGS.register("group_norm")
def lower_group_norm(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a group norm over groups of channels and all positions."""
    groups, epsilon = args_of(node)[1], args_of(node)[4]
    gamma, beta = lowering.parameter(node, 2), lowering.parameter(node, 3)
    count = math.prod(node.meta["shape"][1:]) // groups
    attributes = {"groups": groups}
    return _normalize(lowering, node, wanted, count, (gamma, beta, epsilon), attributes)


def _normalize(
    lowering: Lowering,
    node: fx.Node,
    wanted: Codes,
    count: int,
    affine: tuple[Tensor | None, Tensor | None, float],
    attributes: dict[str, Any],
) -> Operand:
    """Add a norm over ``count`` codes with gamma, beta and epsilon."""
    if count >= _LARGEST_COUNT:
        msg = f"must be over fewer than 2^20 codes, got {count}"
        raise CannotLowerError(msg)
    x = lowering.operand(node, 0)
    gamma, beta, epsilon = affine
    op = "group_norm" if "groups" in attributes else "layer_norm"
    channels = x.shape[1] if op == "group_norm" else count
    gamma = torch.ones(channels, dtype=torch.float64) if gamma is None else gamma.flatten()
    beta = torch.zeros(channels, dtype=torch.float64) if beta is None else beta.flatten()
    data = norm_parameters(gamma, beta, epsilon, count, x.codes.scale, wanted.scale)
    made = {"is_centred": True, "count": count, "epsilon": data.epsilon, "shift": data.shift}
    constants = {"m": data.m, "beta": data.beta}
    return lowering.add(op, node, [x], wanted, {**made, **attributes}, constants)
