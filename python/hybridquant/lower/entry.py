"""Lowering: from a QuantGraph to an IntGraph."""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.errors import LoweringError
from hybridquant.lower.int_graph import Codes, IntGraph
from hybridquant.lower.lowering import CannotLowerError, Lowering
from hybridquant.quant_graph import QuantGraph

# Fraction bits that logits keep below the scale of their sums, where these are not products.
_LOGIT_BITS = 8


def lower(graph: QuantGraph, mean: Sequence[float], std: Sequence[float]) -> IntGraph:
    """Return the integer model of a calibrated QuantGraph.

    Args:
        graph: Every input of every operator quantized, one scale a tensor (weights: one a channel).
        mean: Mean of each channel, of pixels in 0 to 1, as in ``DataConfig``.
        std: Standard deviation of each channel.

    Raises:
        LoweringError: If an operator cannot become integer; the text lists all of them.
    """
    lowering = Lowering(graph, mean, std)
    (output,) = graph.graph.find_nodes(op="output")
    logits = args_of(output)[0]
    if not isinstance(logits, fx.Node):
        raise LoweringError(["the output must be one tensor"])
    result = lowering.codes_of(logits, _logit_codes(lowering, logits))
    if lowering.problems:
        raise LoweringError(lowering.problems)
    lowering.result.output = result.name
    return lowering.result


def _logit_codes(lowering: Lowering, logits: fx.Node) -> Codes:
    """Return codes that hold the logits without loss to speak of: 32 bits, one scale."""
    scales = []
    for position, argument in enumerate(args_of(logits)):
        if lowering.fake_quant(argument) is None:
            continue
        try:
            if position == 1 and logits.meta["kind"] in ("conv2d", "linear"):
                scales.append(float(lowering.weight(logits, position)[1].max()))
            else:
                codes = lowering.format_of(argument)
                scales.append(codes.scale if codes else 1.0)
        except CannotLowerError:
            scales.append(1.0)
    scale = 1.0
    for value in scales:
        scale *= value
    is_product = logits.meta["kind"] in ("conv2d", "linear", "matmul", "mul")
    return Codes(
        "int32",
        scale if is_product else min(scales, default=1.0) / 2**_LOGIT_BITS,
        0,
        -(2**31),
        2**31 - 1,
    )
