"""Rescaling channels: what their producer makes is divided, what reads them is multiplied."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.layerwise.channels import NORM_PARAMETERS, ChannelGroup, Reader, row_parameters
from hybridquant.quant_graph import QuantGraph


def is_norm(group: ChannelGroup) -> bool:
    """Tell whether a norm makes the channels."""
    return group.producer.meta["kind"] in NORM_PARAMETERS


def rescale(graph: QuantGraph, group: ChannelGroup, divisor: Tensor) -> None:
    """Divide the channels of a group, and multiply the weights that read them.

    Args:
        graph: The graph, whose function stays the same up to rounding in float32.
        group: Some of its channels.
        divisor: Above 0; taken as 1 where a channel is not legal. # [channels]
    """
    divisor = torch.where(group.is_legal, divisor, 1.0)
    for node in row_parameters(group.producer):
        value = graph.original(node)
        graph.rewrite_weight(node, value / divisor.reshape([-1] + [1] * (value.ndim - 1)))
    for reader in group.readers:
        weight = graph.original(reader.product.weight)
        graph.rewrite_weight(reader.product.weight, weight * columns(reader, divisor))


def largest_read(graph: QuantGraph, group: ChannelGroup) -> Tensor:
    """Return the largest weight that reads each channel [channels], 0 where none does."""
    largest = torch.zeros(len(group.is_legal))
    for reader in group.readers:
        weight, groups = graph.original(reader.product.weight).abs(), reader.product.groups
        split = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
        read = reader.channels >= 0
        by_input = split.amax((1, 3)).flatten()[read]
        largest.scatter_reduce_(0, reader.channels[read], by_input, "amax")
    return largest


def columns(reader: Reader, values: Tensor) -> Tensor:
    """Return a value for each channel as one for each column of a reader's weight.

    Args:
        reader: The reader.
        values: 1 is taken for columns that read something else. # [channels]

    Returns:
        Of a shape that multiplies the weight: [out_channels or 1, in_channels / groups, 1, ...].
    """
    product = reader.product
    per_input = torch.where(reader.channels >= 0, values[reader.channels.clamp(min=0)], 1.0)
    ones = [1] * (len(product.weight.meta["shape"]) - 2)
    if product.groups == 1:
        return per_input.reshape(1, -1, *ones)
    rows = product.weight.meta["shape"][0] // product.groups
    split = per_input.reshape(product.groups, -1).repeat_interleave(rows, dim=0)
    return split.reshape(*split.shape, *ones)
