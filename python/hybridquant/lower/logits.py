"""The codes of logits, for which a QuantGraph has no fake-quant module."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import fx

from hybridquant.capture.blocks import WEIGHTED_KINDS
from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import ChannelCodes, Codes
from hybridquant.lower.lowering import Lowering
from hybridquant.lower.nodes.table import KINDS, table_values
from hybridquant.lower.patterns import find_l2_norm
from hybridquant.lower.sums import sums_of

# Fraction bits that logits keep below the scale of what they are made from.
_MORE_BITS = 8
# Bits of what two inputs can add up to, of the 31 there are; of a quotient of the largest inputs.
_RANGE_BITS, _QUOTIENT_BITS = 29, 15
# Step of logits that nothing in integers bounds.
_FLOAT_STEP = 2.0**-16
_INT32 = Codes("int32", 1.0, 0, -(2**31), 2**31 - 1)
_INT16 = Codes("int16", 1.0, 0, -(2**15), 2**15 - 1)


def logit_codes(lowering: Lowering, logits: fx.Node) -> Codes:
    """Return codes that hold the logits without loss to speak of.

    32 bits with the scale of the sums where the model ends in a product, as classifiers do, 16 bits
    where it ends in what has no wider form: a table, a softmax or a norm. Logits of an operator
    that stays in float have 16 bits behind the point and 15 before it.

    Args:
        lowering: The lowering.
        logits: The output.
    """
    node = logits
    while node.meta["kind"] in LAYOUT_KINDS:
        node = args_of(node)[0]
    if node in lowering.float_names:
        return replace(_INT32, scale=_FLOAT_STEP)
    try:
        largest = _largest(lowering, node)
        if largest is None:
            return replace(_INT32, scale=_scale(lowering, node))
        return replace(_INT16, scale=max(largest, 1e-30) / _INT16.highest)
    except (CannotLowerError, ValueError):
        return _INT32  # the lowering of the operator says what is wrong


def _scale(lowering: Lowering, node: fx.Node) -> float:
    kind = node.meta["kind"]
    if kind in WEIGHTED_KINDS:
        return _product_scale(lowering, node)
    sums = sums_of(lowering, node)
    if sums is not None:
        return sums.scale
    found = [_read_codes(lowering, argument) for argument in node.all_input_nodes]
    inputs = [codes for codes in found if codes is not None]
    scales = [codes.scale for codes in inputs]
    largest = [codes.scale * codes.magnitude for codes in inputs]
    if kind == "div" and len(inputs) == 2:
        return largest[0] / largest[1] * 2.0**-_QUOTIENT_BITS
    if kind == "mul" and inputs:
        return max(math.prod(scales), math.prod(largest) * 2.0**-_RANGE_BITS)
    finest = min(scales, default=1.0) * 2.0**-_MORE_BITS
    (x, *_) = node.all_input_nodes
    count = math.prod(shape_for_one(x)) / math.prod(shape_for_one(node)) if kind == "sum" else 1
    return max(finest, count * max(largest, default=0.0) * 2.0**-_RANGE_BITS)


def _product_scale(lowering: Lowering, node: fx.Node) -> float:
    """Return the scale of the sums of the coarsest channel, or a coarser one that holds them."""
    weight = lowering.quantized_weight(node)
    x, bias = lowering.operand(node, 0).codes, lowering.parameter(node, 2)
    values = (weight.codes.double() * weight.scale).abs()
    if node.meta["kind"] == "conv_transpose2d":
        values = values.movedim(1, 0)
    largest = float(values.flatten(1).sum(1).max()) * x.magnitude * x.scale
    largest += 0.0 if bias is None else float(bias.abs().max())
    # Below 2^30 also DOUBLE, which shifts a sum to the left first, keeps it.
    return max(float(weight.scale.max()) * x.scale, largest / (2**30 - 1))


def _read_codes(lowering: Lowering, argument: fx.Node) -> Codes | None:
    """Return the codes of an input, of sums where it has no fake-quant module."""
    codes = lowering.format_of(argument) or sums_of(lowering, argument)
    return codes.common() if isinstance(codes, ChannelCodes) else codes


def _largest(lowering: Lowering, node: fx.Node) -> float | None:
    """Return a bound of an operator's magnitude that has no form of 32 bits; None for others."""
    kind, arguments = node.meta["kind"], args_of(node)
    is_number = kind in ("add", "mul") and not isinstance(arguments[1], fx.Node)
    if kind in KINDS or (is_number and sums_of(lowering, node) is None):
        values = table_values(node, lowering.operand(node, 0).codes)
        return float(values[values.isfinite()].abs().max()) if values.isfinite().any() else 0.0
    if kind == "softmax" or (kind == "div" and find_l2_norm(node) is not None):
        return 1.0
    if kind == "prelu":
        slopes = float(lowering.constant_of(node, 1).abs().max())
        return max(1.0, slopes) * float(lowering.operand(node, 0).codes.all_values().abs().max())
    if kind not in ("group_norm", "layer_norm", "rms_norm"):
        return None
    gamma, beta = lowering.parameter(node, 2), None
    if kind != "rms_norm":
        beta = lowering.parameter(node, 3)
    largest = 1.0 if gamma is None else float(gamma.abs().max())
    # No normalised value is beyond the root of how many there are.
    return largest * math.sqrt(math.prod(node.meta["shape"][1:])) + (
        0.0 if beta is None else float(beta.abs().max())
    )
