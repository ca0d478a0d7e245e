"""Layer, group and root-mean-square norms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS, centred, zero_point


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


def _normalised(rows: Tensor, node: IntNode) -> Tensor:
    """Return ``2^20 D / sqrt(V)`` of each row, rounded as docs/arithmetic.md has it."""
    count = rows.shape[1]
    is_centred = node.attributes["is_centred"]
    sums = rows.sum(1) if is_centred else torch.zeros_like(rows[:, 0])
    variances = count * (rows * rows).sum(1) - sums * sums + node.attributes["epsilon"]
    result = torch.empty_like(rows)
    for index, (total, variance) in enumerate(zip(sums.tolist(), variances.tolist(), strict=True)):
        guard = (62 - variance.bit_length()) // 2
        reciprocal = 2**61 // math.isqrt(variance << (2 * guard))
        differences = count * rows[index] - total
        shift = 41 - guard
        result[index] = _product_shifted(differences, reciprocal, shift)
    return result


def _product_shifted(values: Tensor, factor: int, shift: int) -> Tensor:
    """Return ``(values * factor + 2^(shift - 1)) >> shift`` for products of up to 80 bits."""
    low_bits = min(shift - 1, 20)
    high, low = values >> low_bits, values & (2**low_bits - 1)
    carry = (low * factor + (1 << (shift - 1))) >> low_bits
    result: Tensor = (high * factor + carry) >> (shift - low_bits)
    return result


def _affine(values: Tensor, node: IntNode, m: Tensor, beta: Tensor) -> Tensor:
    shift = node.attributes["shift"]
    result: Tensor = (values * m.long() + beta + (1 << (shift - 1))) >> shift
    return result
