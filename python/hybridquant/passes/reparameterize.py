"""The pass ``reparameterize``: a scale for each channel behind a norm, folded into the norm."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture.graph import args_of
from hybridquant.layerwise import products_of
from hybridquant.layerwise.channels import ChannelGroup, Reader, find_channel_groups, row_parameters
from hybridquant.layerwise.products import own_bias
from hybridquant.layerwise.ranges import observed
from hybridquant.layerwise.rescale import columns
from hybridquant.observers import OBSERVERS, Observer
from hybridquant.passes import PASSES
from hybridquant.progress import track
from hybridquant.quant_graph import QuantEdge, QuantGraph

_NORMS = ("group_norm", "layer_norm")


@PASSES.register("reparameterize")
def reparameterize(
    graph: QuantGraph, calibration: Calibration, integer_zero_point: bool = True
) -> QuantGraph:
    """Give what layer and group norms make a scale and zero-point for each channel, at no cost.

    The recipe's observer chooses a scale s and a zero-point z for each channel. The tensor is then
    read with their means S and Z, and ``r = s / S`` and ``b = S (Z - z)`` move into the model,
    which computes the same: ``gamma / r`` and ``beta / r - b`` in the norm, ``w r`` and
    ``bias + w r b`` in the layers that read it. A norm is left as it is where something else than a
    linear layer or an unpadded convolution reads it, or its input there is in float.

    It sets the ranges of what it changed, activations and weights; ``observe`` behind it would set
    them anew from what is seen.

    Args:
        graph: The graph, changed in place.
        calibration: Images like those the model will see.
        integer_zero_point: Round Z before b is made from it, as integers need it. Released code
            does not; the pass then keeps b exact, and the zero-point that is used is rounded still.

    Raises:
        RuntimeError: If weights were rounded before.

    Source:
        RepQ-ViT (arXiv 2212.08254, released code). Chosen: group norms too, and S and Z as the
        recipe's own observer has them a channel.
    """
    groups = [g for g in find_channel_groups(graph, products_of(graph)) if _is_foldable(graph, g)]
    observers = _observe(graph, calibration, groups)
    for group, observer in zip(groups, observers, strict=True):
        _fold(graph, group, *observer.quantization_parameters(), integer_zero_point)
    return graph


def _is_foldable(graph: QuantGraph, group: ChannelGroup) -> bool:
    if group.producer.meta["kind"] not in _NORMS or not bool(group.is_legal.all()):
        return False
    parameters = row_parameters(group.producer)
    has_affine = len(parameters) == 2 and all(node.op == "get_attr" for node in parameters)
    return has_affine and all(_takes_shift(reader) for reader in group.readers)


def _takes_shift(reader: Reader) -> bool:
    product = reader.product
    edge = product.input_edge
    padding = [] if product.kind == "linear" else list(args_of(product.node)[4])
    return (
        reader.is_only_moved
        and not any(padding)
        and edge is not None
        and edge.spec.granularity == "tensor"
        and torch.equal(reader.channels, torch.arange(len(reader.channels)))
    )


def _observe(
    graph: QuantGraph, calibration: Calibration, groups: Sequence[ChannelGroup]
) -> list[Observer]:
    """Return an observer a channel for each group, having seen all images in float."""
    observers = []
    with ExitStack() as hooks, torch.no_grad(), graph.fake_quant_off():
        for group in groups:
            product = group.readers[0].product
            edge = product.input_edge
            assert edge is not None
            axis = -1 if product.kind == "linear" else 1
            spec = replace(edge.spec, granularity="channel")
            observer = OBSERVERS[spec.observer](spec, axis)
            observers.append(observer)
            hooks.callback(_watch(graph, edge, observer).remove)
        for x in track(calibration, "reparameterize"):
            graph(x)
    return observers


def _watch(graph: QuantGraph, edge: QuantEdge, observer: Observer) -> Any:
    def watch(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        observer.observe(inputs[0])

    return graph.module_of(edge).register_forward_pre_hook(watch)


def _fold(
    graph: QuantGraph, group: ChannelGroup, scale: Tensor, zero_point: Tensor, is_integer: bool
) -> None:
    common, shared = scale.mean(), zero_point.mean()
    shared = shared.round() if is_integer else shared
    ratio, shift = scale / common, common * (shared - zero_point)
    gamma, beta = row_parameters(group.producer)
    graph.rewrite_weight(gamma, graph.original(gamma) / ratio)
    graph.rewrite_weight(beta, graph.original(beta) / ratio - shift)
    for reader in group.readers:
        product = reader.product
        weight = graph.original(product.weight) * columns(reader, ratio)
        graph.rewrite_weight(product.weight, weight)
        bias = own_bias(graph, product)
        graph.rewrite_weight(bias, graph.original(bias) + _response(reader, weight, shift))
        assert product.input_edge is not None
        module = graph.module_of(product.input_edge)
        module.set_parameters(common.reshape(1), shared.round().reshape(1))
        if product.weight_edge is not None:
            ranges = observed(product.weight_edge, weight)
            graph.module_of(product.weight_edge).set_parameters(*ranges)


def _response(reader: Reader, weight: Tensor, shift: Tensor) -> Tensor:
    """Return what a product makes of a constant in each input channel, [out_channels]."""
    groups = reader.product.groups
    split = weight.flatten(2).sum(2) if weight.ndim > 2 else weight
    by_group = shift.reshape(groups, 1, -1)
    return (split.reshape(groups, len(weight) // groups, -1) * by_group).sum(2).flatten()
