"""The pass ``equalize_channels``: the weights around a channel get the same range."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.calibration import Calibration
from hybridquant.layerwise import products_of
from hybridquant.layerwise.channels import ChannelGroup, find_channel_groups, row_parameters
from hybridquant.layerwise.rescale import is_norm, largest_read, rescale
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph

_MOST_ROUNDS = 100


@PASSES.register("equalize_channels")
def equalize_channels(
    graph: QuantGraph, _calibration: Calibration, tolerance: float = 2e-7
) -> QuantGraph:
    """Rescale channels until what makes them and what reads them have weights of one range.

    For a channel with the range r1 of the weights that make it, and r2 of those that read it, both
    become ``sqrt(r1 r2)``. Groups of channels are taken in turn until the largest change of a
    factor is below ``tolerance``, at most 100 times. Only channels between convolutions and linear
    layers count, with nothing but ReLU, moves, pools, averages, or attention for its values
    between. The float model computes the same. Run it before ``observe``.

    Args:
        graph: The graph, changed in place.
        _calibration: Not looked at: weights alone decide.
        tolerance: Above 0.

    Raises:
        ValueError: If ``tolerance`` is not above 0.
        RuntimeError: If weights were rounded before.

    Source:
        Nagel et al., 2019, "Data-Free Quantization" (arXiv 1906.04721), section 4.1. Without the
        absorption of high biases: it needs a ReLU behind a BatchNorm, whose statistics are gone.
    """
    if not tolerance > 0:
        msg = f"equalize_channels: tolerance must be above 0, got {tolerance}"
        raise ValueError(msg)
    groups = [g for g in find_channel_groups(graph, products_of(graph)) if not is_norm(g)]
    for _ in range(_MOST_ROUNDS):
        change = 0.0
        for group in groups:
            divisor = _divisor(graph, group)
            rescale(graph, group, divisor)
            change = max(change, float((divisor - 1).abs().max()))
        if change < tolerance:
            break
    return graph


def _divisor(graph: QuantGraph, group: ChannelGroup) -> Tensor:
    """Return ``sqrt(r1 / r2)``, 1 where a channel is dead, or may not be rescaled."""
    made = graph.original(row_parameters(group.producer)[0]).abs().flatten(1).amax(1)
    read = largest_read(graph, group)
    is_alive = group.is_legal & (made > 0) & (read > 0)
    ratio = torch.where(is_alive, made, 1.0) / torch.where(is_alive, read, 1.0)
    return torch.where(is_alive, ratio.sqrt(), 1.0)
