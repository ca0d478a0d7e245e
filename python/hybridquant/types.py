"""The values that travel between the rooms of the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Scheme = Literal["symmetric", "asymmetric"]
Granularity = Literal["tensor", "channel", "head"]
Operand = Literal["weight", "activation"]
BITS = (2, 3, 4, 5, 6, 7, 8, 16)


@dataclass(frozen=True)
class QuantSpec:
    """How one edge (an operator's input as that operator sees it) is quantized.

    Args:
        bits: Width of a code, 2 to 8 or 16.
        scheme: ``symmetric`` (zero-point 0, signed codes) or ``asymmetric`` (unsigned codes).
        granularity: One scale for the tensor, or one per channel; ``head``: one for each head of
            an operand [batch, heads, rows, columns] of a matrix product, else one for the tensor.
        observer: Name in ``hybridquant.observers``.
        observer_options: Keyword arguments of that observer.
        include_zero: Widen the range to hold zero, so that zero is exact.
        quantizer: Name in ``hybridquant.quantizers``.
        quantizer_options: Options of that quantizer.

    Raises:
        ValueError: If ``bits``, ``scheme`` or ``granularity`` is not as above.
    """

    bits: int = 8
    scheme: Scheme = "asymmetric"
    granularity: Granularity = "tensor"
    observer: str = "minmax"
    observer_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    include_zero: bool = True
    quantizer: str = "affine"
    quantizer_options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            ValueError: If ``bits``, ``scheme`` or ``granularity`` is not as above.
        """
        _check("bits", "be 2 to 8 or 16", self.bits, self.bits in BITS)
        _check("scheme", "be symmetric or asymmetric", self.scheme, self.scheme in get_args(Scheme))
        is_known = self.granularity in get_args(Granularity)
        _check("granularity", "be tensor, channel or head", self.granularity, is_known)

    @property
    def qmin(self) -> int:
        """Smallest code: ``-2^(bits-1)`` when symmetric, else 0."""
        return -(1 << (self.bits - 1)) if self.scheme == "symmetric" else 0

    @property
    def qmax(self) -> int:
        """Largest code: ``2^(bits-1) - 1`` when symmetric, else ``2^bits - 1``."""
        return (1 << (self.bits - (self.scheme == "symmetric"))) - 1


def _check(name: str, requirement: str, value: object, is_legal: bool) -> None:
    if not is_legal:
        msg = f"QuantSpec: {name} must {requirement}, got {value!r}"
        raise ValueError(msg)


@dataclass(frozen=True)
class Edge:
    """One input of one operator.

    Args:
        node: Name of the operator's node in the graph.
        position: Which input, counted from 0.
        kind: The operator's kind, e.g. ``conv2d`` (docs/operators.md lists them).
        path: Path of the operator's module in the user's model, e.g. ``stages.2.1.conv_1x1``.
        operand: ``weight`` for a trained weight of conv2d or linear, else ``activation``.
        is_product: Whether the input is the result of a matrix product of two activations, as it
            is, or moved, scaled or shifted by a number.
        producer: Kind of the operator that made the input, moves aside; ``input`` for the image,
            ``parameter`` for weights and constants.
        marks: Selectors that hold for the operator whatever else the model has: ``@depthwise`` for
            a convolution whose channels do not mix, ``@bridge`` between image and tokens.
    """

    node: str
    position: int
    kind: str
    path: str
    operand: Operand
    is_product: bool = False
    producer: str = ""
    marks: frozenset[str] = frozenset()
