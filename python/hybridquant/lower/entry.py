"""Lowering: from a QuantGraph to an IntGraph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.errors import LoweringError
from hybridquant.lower.int_graph import IntGraph
from hybridquant.lower.logits import logit_codes
from hybridquant.lower.lowering import Lowering
from hybridquant.lower.rounding import SINGLE, check_rounding, with_rounding
from hybridquant.quant_graph import QuantGraph


def lower(
    graph: QuantGraph,
    mean: Sequence[float],
    std: Sequence[float],
    rounding: str = SINGLE,
    allow_float: Sequence[str] = (),
) -> IntGraph:
    """Return the integer model of a calibrated QuantGraph.

    Args:
        graph: Every input of every operator quantized, with one scale or, where the operator does
            not add up over them, one a channel (weights: one an output channel); what reads a
            matrix product may be left unquantized, and reads its exact sums.
        mean: Mean of each channel, of pixels in 0 to 1, as in ``DataConfig``.
        std: Standard deviation of each channel.
        rounding: Rule by which products with a multiplier become codes: ``single`` (one rounding,
            halves up), ``half_even`` (one rounding, halves to the even code) or ``double`` (two,
            as gemmlowp and TFLite). Sums of two tensors have no ``double`` and stay ``single``, as
            do softmaxes, norms and quotients under every rule.
        allow_float: Operators that stay in float, by name or by the path of their module. Each
            becomes a node ``external`` with a function of the result that reads codes, computes in
            float32 and writes codes.

    Raises:
        LoweringError: If an operator cannot become integer; the text lists all of them.
        TypeError: If ``graph`` is no QuantGraph, or ``allow_float`` no sequence of texts.
        ValueError: If ``rounding`` is another, ``allow_float`` names nothing, or a parameter of
            ``graph`` is not finite or not float32.
    """
    check_rounding(rounding)
    _check_graph(graph)
    (output,) = graph.graph.find_nodes(op="output")
    logits = args_of(output)[0]
    if not isinstance(logits, fx.Node):
        what = next(kind.__name__ for kind in (dict, list, tuple) if isinstance(logits, kind))
        msg = f"the output must be one tensor, got a {what}; wrap the model and return the logits"
        raise LoweringError([msg])
    lowering = Lowering(graph, mean, std, allow_float)
    lowering.prepare()
    return with_rounding(lowering.finish(logits, logit_codes(lowering, logits)), rounding)


def _check_graph(graph: object) -> None:
    if not isinstance(graph, QuantGraph):
        msg = (
            f"lower: graph must be a QuantGraph, as quantize returns it, got {type(graph).__name__}"
        )
        raise TypeError(msg)
    for name, value in graph.named_parameters():
        if value.dtype != torch.float32:
            msg = f"lower: graph must have float32 parameters, got {value.dtype} in {name!r}"
            raise ValueError(msg)
        if not bool(value.isfinite().all()):
            got = "NaN" if bool(value.isnan().any()) else "an infinity"
            msg = f"lower: graph must have finite parameters, got {got} in {name!r}"
            raise ValueError(msg)
