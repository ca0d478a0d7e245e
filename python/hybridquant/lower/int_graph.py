"""IntGraph: a model whose nodes compute integer codes from integer codes."""

from __future__ import annotations

import math
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
_INT16 = 2**15 - 1


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
        _check_range(self.dtype, self.lowest, [self.zero_point], self.highest)

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


@dataclass(frozen=True)
class ChannelCodes:
    """What codes mean where each channel has a scale and zero-point of its own.

    value = scales[c] * (code - zero_points[c]) for a code of channel c.

    Args:
        dtype: How they are stored, a key of ``DTYPES``.
        axis: Of the channels, from 0.
        scales: Of each channel, above 0.
        zero_points: Of each channel.
        lowest: Smallest code in use, for all channels.
        highest: Largest code in use.

    Raises:
        ValueError: If the codes do not fit the type, or there is not one zero-point a scale.
    """

    dtype: str
    axis: int
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    lowest: int
    highest: int

    def __post_init__(self) -> None:
        _check_range(self.dtype, self.lowest, self.zero_points, self.highest)
        if len(self.scales) != len(self.zero_points):
            msg = (
                "ChannelCodes: there must be one zero-point a scale, got "
                f"{len(self.zero_points)} for {len(self.scales)}"
            )
            raise ValueError(msg)

    @property
    def zero_point(self) -> int:
        """The code that nodes count from: in the middle of the channels' zero-points.

        What a channel's own differs from it is in the constants of the nodes.
        """
        return (min(self.zero_points) + max(self.zero_points)) // 2

    @property
    def count(self) -> int:
        """Number of codes."""
        return self.highest - self.lowest + 1

    @property
    def magnitude(self) -> int:
        """Largest magnitude of a code less ``zero_point``."""
        return max(self.highest - self.zero_point, self.zero_point - self.lowest)

    @property
    def largest_scale(self) -> float:
        """The largest of the scales, which stands for them in a file."""
        return max(self.scales)

    @property
    def steps(self) -> Tensor:
        """The scales, float64 [channels]."""
        return torch.tensor(self.scales, dtype=torch.float64)

    @property
    def offsets(self) -> Tensor:
        """The zero-points less ``zero_point``, int64 [channels]."""
        return torch.tensor(self.zero_points) - self.zero_point

    def all_values(self) -> Tensor:
        """Return what every code in use stands for, float64 [channels, count]."""
        codes = torch.arange(self.lowest, self.highest + 1, dtype=torch.float64)
        return (codes - torch.tensor(self.zero_points)[:, None]) * self.steps[:, None]

    def quantize(self, values: Tensor) -> Tensor:
        """Return the nearest codes of ``values``, int64 of the same shape; float64 arithmetic."""
        sizes = [1] * values.ndim
        sizes[self.axis] = -1
        zero_points = torch.tensor(self.zero_points).reshape(sizes)
        codes = torch.round(values.double() / self.steps.reshape(sizes)) + zero_points
        return codes.clamp(self.lowest, self.highest).long()

    def common(self) -> Codes:
        """Return int16 codes of one scale that hold the values of all channels.

        Where the scales are one times powers of two (PTF, arXiv:2111.13824) they hold them exactly,
        for channels up to 2^15 of the finest steps; else in the finest steps that reach the largest
        value.
        """
        ends = torch.tensor([self.lowest, self.highest])
        extremes = (ends - torch.tensor(self.zero_points)[:, None]) * self.steps[:, None]
        largest, finest = float(extremes.abs().max()), min(self.scales)
        is_exact = all(math.frexp(scale / finest)[0] == 0.5 for scale in self.scales)
        if not is_exact or largest > finest * _INT16:
            finest = largest / _INT16
        lowest, highest = (round(float(v) / finest) for v in (extremes.min(), extremes.max()))
        return Codes("int16", finest, 0, lowest, highest)


AnyCodes = Codes | ChannelCodes


def _check_range(dtype: str, lowest: int, zero_points: Sequence[int], highest: int) -> None:
    limits = torch.iinfo(DTYPES[dtype])
    for zero_point in zero_points:
        if not limits.min <= lowest <= zero_point <= highest <= limits.max:
            msg = (
                f"Codes: lowest <= zero_point <= highest must hold within {dtype}, got "
                f"{lowest}, {zero_point}, {highest}"
            )
            raise ValueError(msg)


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
    codes: AnyCodes
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
