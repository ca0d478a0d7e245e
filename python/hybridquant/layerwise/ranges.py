"""What the recipe's observer makes of a tensor that is at hand."""

from __future__ import annotations

from torch import Tensor

from hybridquant.observers import OBSERVERS
from hybridquant.ops import fake_quant_affine
from hybridquant.quant_graph import QuantEdge


def observed(edge: QuantEdge, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (scale, zero_point) that the observer of ``edge`` chooses for ``x``."""
    axis = edge.channel_axis if edge.spec.granularity == "channel" else None
    observer = OBSERVERS[edge.spec.observer](edge.spec, axis)
    observer.observe(x)
    return observer.quantization_parameters()


def as_quantized(edge: QuantEdge | None, x: Tensor) -> Tensor:
    """Return ``x`` as codes of the range that its observer chooses would leave it.

    Args:
        edge: Where it is read; None in float.
        x: Its values.
    """
    if edge is None:
        return x
    scale, zero_point = observed(edge, x)
    spec = edge.spec
    axis = edge.channel_axis
    return fake_quant_affine(x, scale, zero_point, spec.qmin, spec.qmax, channel_axis=axis)
