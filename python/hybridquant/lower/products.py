"""Products with constant weights: convolutions and linear layers."""

from __future__ import annotations

from typing import Any

from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import C, Form
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import AnyCodes, ChannelCodes
from hybridquant.lower.lowering import Lowering
from hybridquant.lower.product_constants import Weights, input_scales, product_constants
from hybridquant.lower.weights import image_weights, reads_image, weights_of


def factors_of(lowering: Lowering, node: fx.Node) -> tuple[Form[AnyCodes], Weights]:
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
    weights = weights_of(lowering, node)
    check_scales(lowering, node)
    return lowering.operand_by_channel(node, 0, channel_axis(node)), weights


def check_scales(lowering: Lowering, node: fx.Node) -> None:
    """Check that a product does not add up over channels of several scales.

    Raises:
        CannotLowerError: If it does.
    """
    codes = lowering.format_of(args_of(node)[0])
    if isinstance(codes, ChannelCodes) and codes.axis == channel_axis(node):
        input_scales(codes, groups_of(node), groups_of(node))


def groups_of(node: fx.Node) -> int:
    """Return into how many parts a product divides its channels."""
    return 1 if node.meta["kind"] == "linear" else int(args_of(node)[6])


def channel_axis(node: fx.Node) -> int:
    """Return the axis of the channels of a product, of its input and its output."""
    return len(node.meta["shape"]) - 1 if node.meta["kind"] == "linear" else 1


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
    wanted: C,
    x: Form[AnyCodes],
    weights: Weights,
    window: dict[str, Any] | None = None,
    shape: tuple[int, ...] | None = None,
) -> Form[C]:
    """Add a product of activations, or of the image's bytes, and constant weights.

    Args:
        lowering: The lowering.
        node: The QuantGraph's node that it computes.
        wanted: What its output's codes mean; channels with a scale each are those of the weights.
        x: The input; the same holds for its channels.
        weights: The weights; of two axes for a linear layer, of four for a convolution.
        window: As ``window_of`` has it; by default that of ``node``.
        shape: Of the output for one image; by default that of ``node``.

    Raises:
        CannotLowerError: If sums may pass their bits, or run over channels of several scales.
    """
    if weights.codes.ndim == 2:
        constants = product_constants(weights, x.codes, wanted)
        return lowering.add("linear", node, [x], wanted, {}, constants, shape)
    window = window_of(node) if window is None else window
    constants = product_constants(
        weights,
        x.codes,
        wanted,
        window["groups"],
        lowering.mean if x is lowering.image else None,
        has_padding=any(window["padding"]),
    )
    return lowering.add("conv2d", node, [x], wanted, window, constants, shape)
