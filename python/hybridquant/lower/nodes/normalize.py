"""Layer, group and root-mean-square normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import C, ChannelOperand, Form, Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import norm_parameters
from hybridquant.lower.int_graph import ChannelCodes, Codes
from hybridquant.lower.lowering import CHANNEL_LOWERINGS, LOWERINGS, Lowering
from hybridquant.lower.reader import Reader

# Normalised values are below the root of it, and fit 30 bits with 20 behind the point.
_LARGEST_COUNT = 2**20
# The smallest factor of a channel keeps 16 bits beside the largest, of 31.
_LARGEST_RATIO = 2.0**15


@dataclass(frozen=True)
class _Norm:
    """A norm as the model has it.

    Args:
        gamma: Of each channel, float64.
        beta: Of each channel, float64.
        epsilon: Added to the variance.
        count: Values that are normalised together.
        groups: Of a group norm; None for norms over the last axes.
        is_centred: Whether the mean is taken off.
    """

    gamma: Tensor
    beta: Tensor
    epsilon: float
    count: int
    groups: int | None
    is_centred: bool


def lower_norm(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a layer or root-mean-square norm over the last axes, or a group norm."""
    return _normalized(lowering, node, wanted, _norm_of(lowering, node))


def lower_norm_by_channel(
    lowering: Lowering, node: fx.Node, wanted: ChannelCodes
) -> ChannelOperand | None:
    """Add the same where gamma and beta are those of the channels: their scales divide these."""
    norm = _norm_of(lowering, node)
    axis = 1 if norm.groups is not None else len(node.meta["shape"]) - 1
    if wanted.axis != axis or len(norm.gamma) != len(wanted.scales):
        return None
    factors = (norm.gamma / wanted.steps).abs()
    used = factors[factors > 0]
    if len(used) and float(used.max() / used.min()) > _LARGEST_RATIO:
        return None
    return _normalized(lowering, node, wanted, norm)


for _kind in ("layer_norm", "rms_norm", "group_norm"):
    LOWERINGS.register(_kind)(lower_norm)
    CHANNEL_LOWERINGS.register(_kind)(lower_norm_by_channel)


def _norm_of(reader: Reader, node: fx.Node) -> _Norm:
    arguments, kind = args_of(node), node.meta["kind"]
    gamma, beta = reader.parameter(node, 2), None
    if kind == "group_norm":
        groups, epsilon = arguments[1], arguments[4]
        count = math.prod(node.meta["shape"][1:]) // groups
        channels = node.meta["shape"][1]
    else:
        groups, epsilon = None, arguments[3 if kind == "rms_norm" else 4]
        count = channels = math.prod(arguments[1])
    if kind != "rms_norm":
        beta = reader.parameter(node, 3)
    elif epsilon is None:
        epsilon = torch.finfo(torch.float32).eps
    gamma = torch.ones(channels, dtype=torch.float64) if gamma is None else gamma.flatten()
    beta = torch.zeros(channels, dtype=torch.float64) if beta is None else beta.flatten()
    return _Norm(gamma, beta, epsilon, count, groups, is_centred=kind != "rms_norm")


def _normalized(lowering: Lowering, node: fx.Node, wanted: C, norm: _Norm) -> Form[C]:
    """Add a norm; a channel with a scale and zero-point of its own has them in gamma and beta."""
    if norm.count >= _LARGEST_COUNT:
        msg = f"must be over fewer than 2^20 codes, got {norm.count}"
        raise CannotLowerError(msg)
    x = lowering.operand(node, 0)
    gamma, beta, scale = norm.gamma, norm.beta, 1.0
    if isinstance(wanted, ChannelCodes):
        gamma, beta = gamma / wanted.steps, beta / wanted.steps + wanted.offsets
    else:
        scale = wanted.scale
    data = norm_parameters(gamma, beta, norm.epsilon, norm.count, x.codes.scale, scale)
    attributes = {
        "is_centred": norm.is_centred,
        "count": norm.count,
        "epsilon": data.epsilon,
        "shift": data.shift,
    }
    if norm.groups is not None:
        attributes["groups"] = norm.groups
    op = "layer_norm" if norm.groups is None else "group_norm"
    constants = {"m": data.m, "beta": data.beta}
    return lowering.add(op, node, [x], wanted, attributes, constants)
