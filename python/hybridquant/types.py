"""The values that travel between the rooms of the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Scheme = Literal["symmetric", "asymmetric"]
Granularity = Literal["tensor", "channel"]
Operand = Literal["weight", "activation"]


@dataclass(frozen=True)
class QuantSpec:
    """How one edge (an operator's input as that operator sees it) is quantized.

    Args:
        bits: Width of a code, 2 to 8 or 16.
        scheme: ``symmetric`` (zero-point 0, signed codes) or ``asymmetric`` (unsigned codes).
        granularity: One scale for the tensor, or one per channel.
        observer: Name in ``hybridquant.observers``.
        observer_options: Keyword arguments of that observer.
        include_zero: Widen the range to hold zero, so that zero is exact.
        quantizer: Name in ``hybridquant.quantizers``.
    """

    bits: int = 8
    scheme: Scheme = "asymmetric"
    granularity: Granularity = "tensor"
    observer: str = "minmax"
    observer_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    include_zero: bool = True
    quantizer: str = "affine"

    @property
    def qmin(self) -> int:
        """Smallest code: ``-2^(bits-1)`` when symmetric, else 0."""
        return -(1 << (self.bits - 1)) if self.scheme == "symmetric" else 0

    @property
    def qmax(self) -> int:
        """Largest code: ``2^(bits-1) - 1`` when symmetric, else ``2^bits - 1``."""
        return (1 << (self.bits - (self.scheme == "symmetric"))) - 1


@dataclass(frozen=True)
class Edge:
    """One input of one operator.

    Args:
        node: Name of the operator's node in the graph.
        position: Which input, counted from 0.
        kind: The operator's kind, e.g. ``conv2d`` (docs/operators.md lists them).
        path: Path of the operator's module in the user's model, e.g. ``stages.2.1.conv_1x1``.
        operand: ``weight`` for a trained weight of conv2d or linear, else ``activation``.
    """

    node: str
    position: int
    kind: str
    path: str
    operand: Operand
