"""Products with constant weights: convolutions and linear layers."""

from __future__ import annotations

from typing import Any

from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import multipliers
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import Lowering, Operand
from hybridquant.lower.weights import (
    Weights,
    bias_codes,
    check_sums,
    image_weights,
    reads_image,
    tap_offsets,
    weights_of,
)


def factors_of(lowering: Lowering, node: fx.Node) -> tuple[Operand, Weights]:
    """Return the input and the weights of a convolution or linear layer.

    The input is the image's bytes where a convolution reads the normalised image.

    Raises:
        CannotLowerError: If one of them is not quantized as it must be, or the product stays in
            float.
    """
    if node in lowering.float_names:
        msg = "stays in float"
        raise CannotLowerError(msg)
    if node.meta["kind"] == "conv2d" and reads_image(lowering, node):
        return lowering.image, image_weights(lowering, node)
    return lowering.operand(node, 0), weights_of(lowering, node)


def window_of(node: fx.Node) -> dict[str, Any]:
    """Return how a convolution goes over its input: lists of a number an axis, and groups."""
    stride, padding, dilation, groups = args_of(node)[3:7]
    return {
        "stride": list(stride),
        "padding": list(padding),
        "dilation": list(dilation),
        "groups": groups,
    }


def add_product(
    lowering: Lowering,
    node: fx.Node,
    wanted: Codes,
    x: Operand,
    weights: Weights,
    window: dict[str, Any] | None = None,
    shape: tuple[int, ...] | None = None,
) -> Operand:
    """Add a product of activations, or of the image's bytes, and constant weights.

    Args:
        lowering: The lowering.
        node: The QuantGraph's node that it computes.
        wanted: What its output's codes mean.
        x: The input.
        weights: The weights; of two axes for a linear layer, of four for a convolution.
        window: As ``window_of`` has it; by default that of ``node``.
        shape: Of the output for one image; by default that of ``node``.

    Raises:
        CannotLowerError: If sums may pass their bits.
    """
    weights, bias = bias_codes(weights, x.codes)
    offsets = tap_offsets(weights.codes, lowering.mean) if x is lowering.image else None
    check_sums(weights, bias, x.codes, offsets)
    m, shift = multipliers(weights.scales * x.codes.scale / wanted.scale)
    constants = {"weight": weights.codes, "bias": bias, "m": m, "shift": shift}
    if offsets is not None:
        constants["tap_offset"] = offsets
    if weights.codes.ndim == 2:
        return lowering.add("linear", node, [x], wanted, {}, constants, shape)
    window = window_of(node) if window is None else window
    return lowering.add("conv2d", node, [x], wanted, window, constants, shape)
