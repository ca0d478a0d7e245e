"""IntGraph: a model whose nodes compute integer codes from integer codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

DTYPES = {
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
}


@dataclass(frozen=True)
class Codes:
    """What the codes of a tensor mean: value = scale * (code - zero_point).

    Args:
        dtype: How they are stored, a key of ``DTYPES``.
        scale: Step between two codes, above 0.
        zero_point: The code of 0.
        lowest: Smallest code in use.
        highest: Largest code in use.

    Raises:
        ValueError: If the codes do not fit the type.
    """

    dtype: str
    scale: float
    zero_point: int
    lowest: int
    highest: int

    def __post_init__(self) -> None:
        limits = torch.iinfo(DTYPES[self.dtype])
        if not limits.min <= self.lowest <= self.zero_point <= self.highest <= limits.max:
            msg = (
                f"Codes: lowest <= zero_point <= highest must hold within {self.dtype}, got "
                f"{self.lowest}, {self.zero_point}, {self.highest}"
            )
            raise ValueError(msg)

    @property
    def count(self) -> int:
        """Number of codes."""
        return self.highest - self.lowest + 1

    @property
    def magnitude(self) -> int:
        """Largest magnitude of a code less the zero-point."""
        return max(self.highest - self.zero_point, self.zero_point - self.lowest)

    def all_values(self) -> Tensor:
        """Return what every code in use stands for, float64 [count], from the lowest on."""
        codes = torch.arange(self.lowest, self.highest + 1, dtype=torch.float64)
        return (codes - self.zero_point) * self.scale

    def quantize(self, values: Tensor) -> Tensor:
        """Return the nearest codes of ``values``, int64 of the same shape; float64 arithmetic."""
        codes = torch.round(values.double() / self.scale) + self.zero_point
        return codes.clamp(self.lowest, self.highest).long()


# Codes of the inputs of a node, for one image, to codes of its output, each of the type stored.
Function = Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class IntTensor:
    """A tensor of an IntGraph.

    Args:
        name: Unique in its graph.
        shape: Sizes for one image.
        codes: What its codes mean.
        value: The codes of a constant, of dtype ``codes.dtype``; None where a node computes them.
    """

    name: str
    shape: tuple[int, ...]
    codes: Codes
    value: Tensor | None = None


@dataclass(frozen=True)
class IntNode:
    """An operator of an IntGraph; docs/arithmetic.md says what each computes.

    Args:
        op: Its kind, a key of ``hybridquant.lower.simulate.SIMULATORS``.
        inputs: Names of the tensors it reads.
        output: Name of the tensor it computes.
        path: Path of the module in the user's model that it comes from.
        attributes: Numbers, texts and lists of them.
        constants: Weights, multipliers, tables; integer tensors.
    """

    op: str
    inputs: tuple[str, ...]
    output: str
    path: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass
class IntGraph:
    """A model in integers: the image's bytes go in, the codes of the logits come out.

    Args:
        tensors: By name.
        nodes: In an order in which each reads only what is there.
        input: Name of the image, uint8 [1, channels, height, width].
        output: Name of the logits.
        functions: Of the nodes ``external``, by name: operators that stay in float.
    """

    tensors: dict[str, IntTensor] = field(default_factory=dict)
    nodes: list[IntNode] = field(default_factory=list)
    input: str = ""
    output: str = ""
    functions: dict[str, Function] = field(default_factory=dict)

    def pruned(self) -> IntGraph:
        """Return the graph without nodes and tensors that the output does not need."""
        needed = {self.input, self.output}
        for node in reversed(self.nodes):
            if node.output in needed:
                needed |= set(node.inputs)
        nodes = [node for node in self.nodes if node.output in needed]
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in needed}
        called = {node.attributes["function"] for node in nodes if node.op == "external"}
        functions = {name: self.functions[name] for name in self.functions if name in called}
        return IntGraph(tensors, nodes, self.input, self.output, functions)

    def num_bytes(self) -> int:
        """Return the bytes of all constants."""
        constants = [value for node in self.nodes for value in node.constants.values()]
        constants += [tensor.value for tensor in self.tensors.values() if tensor.value is not None]
        return sum(value.numel() * value.element_size() for value in constants)
