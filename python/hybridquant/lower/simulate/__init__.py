"""What integer nodes compute, in torch int64: a second definition beside the C++ kernels.

Written from docs/arithmetic.md, sharing no code with the kernels, so that each proves the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hybridquant.lower.int_graph import DTYPES, IntGraph, IntNode
from hybridquant.registry import Registry

Simulate = Callable[[IntGraph, IntNode, Sequence[Tensor]], Tensor]

SIMULATORS: Registry[Simulate] = Registry("integer node", "hybridquant.lower.simulate")


def simulate(graph: IntGraph, image: Tensor) -> dict[str, Tensor]:
    """Return the codes of every tensor of ``graph`` for one image.

    Args:
        graph: The integer model.
        image: uint8 [1, channels, height, width].

    Returns:
        int64 tensors by name, those of constants and the image among them.

    Raises:
        TypeError: If ``image`` is not uint8.
        ValueError: If it has another shape.
    """
    shape = graph.tensors[graph.input].shape
    if image.dtype != torch.uint8:
        msg = f"simulate: image must be uint8, got {image.dtype}"
        raise TypeError(msg)
    if tuple(image.shape) != shape:
        msg = f"simulate: image must have shape {list(shape)}, got {list(image.shape)}"
        raise ValueError(msg)
    values = {t.name: t.value.long() for t in graph.tensors.values() if t.value is not None}
    values[graph.input] = image.long()
    for node in graph.nodes:
        output = SIMULATORS[node.op](graph, node, [values[name] for name in node.inputs])
        codes = graph.tensors[node.output].codes
        values[node.output] = output.clamp(codes.lowest, codes.highest)
        assert values[node.output].to(DTYPES[codes.dtype]).long().equal(values[node.output])
    return values


def centred(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the inputs of a node less their zero-points."""
    pairs = zip(node.inputs, inputs, strict=True)
    return [value - graph.tensors[name].codes.zero_point for name, value in pairs]


def zero_point(graph: IntGraph, node: IntNode) -> int:
    """Return the zero-point of a node's output."""
    return graph.tensors[node.output].codes.zero_point
