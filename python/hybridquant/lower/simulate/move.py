"""Operators that only move codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS


@SIMULATORS.register("reshape")
def simulate_reshape(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Give a tensor another shape."""
    del graph
    return inputs[0].reshape(node.attributes["shape"])


@SIMULATORS.register("expand")
def simulate_expand(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Repeat axes of size 1."""
    del graph
    return inputs[0].expand(node.attributes["shape"])


@SIMULATORS.register("permute")
def simulate_permute(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Reorder axes."""
    del graph
    return inputs[0].permute(node.attributes["axes"])


@SIMULATORS.register("slice")
def simulate_slice(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Take a part of an axis."""
    del graph
    a = node.attributes
    places = torch.arange(a["start"], a["stop"], a["step"])
    return inputs[0].index_select(a["axis"], places)


@SIMULATORS.register("index_select")
def simulate_index_select(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Take places of an axis."""
    del graph
    return inputs[0].index_select(node.attributes["axis"], node.constants["index"])


@SIMULATORS.register("cat")
def simulate_cat(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Put tensors of the same codes behind each other."""
    del graph
    return torch.cat(list(inputs), node.attributes["axis"])


@SIMULATORS.register("pad")
def simulate_pad(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Put a code around a tensor."""
    del graph
    return F.pad(inputs[0], node.attributes["amounts"], value=node.attributes["code"])
