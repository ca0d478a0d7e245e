"""Layer, group and root-mean-square norms, and the L2 norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS, centred, zero_point

# Below every shift of a normalised value, which is 11 at least.
_SPLIT = 10


@SIMULATORS.register("layer_norm")
def simulate_layer_norm(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Normalise rows over the last axes."""
    (x,) = centred(graph, node, inputs)
    rows = x.reshape(-1, node.attributes["count"])
    values = _normalised(rows, node)
    result = _affine(values, node, node.constants["m"], node.constants["beta"])
    return result.reshape(x.shape) + zero_point(graph, node)


@SIMULATORS.register("group_norm")
def simulate_group_norm(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Normalise groups of channels over all positions."""
    (x,) = centred(graph, node, inputs)
    values = _normalised(x.reshape(-1, node.attributes["count"]), node).reshape(x.shape)
    sizes = (-1, *[1] * (x.ndim - 2))
    m, beta = (node.constants[key].reshape(sizes) for key in ("m", "beta"))
    return _affine(values, node, m, beta) + zero_point(graph, node)


@SIMULATORS.register("l2_norm")
def simulate_l2_norm(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Divide rows over the last axis by their lengths."""
    (x,) = centred(graph, node, inputs)
    rows = x.reshape(-1, x.shape[-1])
    squares = (rows * rows).sum(1).clamp(min=node.attributes["epsilon"])
    values = _scaled(rows, squares.tolist())
    result = _affine(values, node, node.constants["m"], node.constants["beta"])
    return result.reshape(x.shape) + zero_point(graph, node)


def _normalised(rows: Tensor, node: IntNode) -> Tensor:
    """Return ``2^20 D / sqrt(V)`` of each row, rounded as docs/arithmetic.md has it."""
    count = rows.shape[1]
    is_centred = node.attributes["is_centred"]
    sums = rows.sum(1) if is_centred else torch.zeros_like(rows[:, 0])
    squares = (rows * rows).sum(1)
    # Python's integers: V of long rows takes more than 64 bits.
    variances = [
        count * square - total * total + node.attributes["epsilon"]
        for total, square in zip(sums.tolist(), squares.tolist(), strict=True)
    ]
    return _scaled(count * rows - sums[:, None], variances)


def _scaled(differences: Tensor, variances: list[int]) -> Tensor:
    """Return ``2^20 differences / sqrt(variances)``; differences [rows, n], below 2^37."""
    guards = [(62 - variance.bit_length()) // 2 for variance in variances]
    reciprocals = [
        2**61 // math.isqrt(variance << (2 * guard) if guard >= 0 else variance >> (-2 * guard))
        for variance, guard in zip(variances, guards, strict=True)
    ]
    factors = torch.tensor(reciprocals, dtype=torch.int64)[:, None]
    shifts = 41 - torch.tensor(guards, dtype=torch.int64)[:, None]
    # The product takes more than 64 bits: its low part is carried into the high one.
    high, low = differences >> _SPLIT, differences & (2**_SPLIT - 1)
    carries = (low * factors + (torch.ones_like(shifts) << (shifts - 1))) >> _SPLIT
    result: Tensor = (high * factors + carries) >> (shifts - _SPLIT)
    return result


def _affine(values: Tensor, node: IntNode, m: Tensor, beta: Tensor) -> Tensor:
    shift = node.attributes["shift"]
    result: Tensor = (values * m.long() + beta + (1 << (shift - 1))) >> shift
    return result
