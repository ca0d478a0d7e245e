"""The pass ``compensate_affine``: the best factor and number for each channel of a product."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.calibration import Calibration
from hybridquant.capture.graph import weight_of
from hybridquant.layerwise import Product, products_of, sweep, unit_of
from hybridquant.layerwise.outputs import OutputMoments, output_moments
from hybridquant.layerwise.products import is_shared, present_bias, set_bias
from hybridquant.layerwise.sweep import MEMORY
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph
from hybridquant.quantizers.affine import AffineFakeQuant

_FACTORS = (0.5, 2.0)


@PASSES.register("compensate_affine")
def compensate_affine(
    graph: QuantGraph,
    calibration: Calibration,
    images: int | None = None,
    memory: float = MEMORY,
) -> QuantGraph:
    """Replace each channel's output y of a product by ``a y + c``, closest to the float model's.

    a is the regression of the float output on the quantized one, within 0.5 and 2, and 1 where
    the quantized output does not vary or explains nothing; c brings the means together. Both cost
    nothing in integers: the channel's weights keep their codes while their scale and the bias are
    multiplied by a, and c goes into the bias. Layers are taken one after another, each reading what
    the compensated layers before it give. Products whose weight has no scale of its own for each
    channel, or is read twice, keep a = 1; those read twice their bias too.

    Args:
        graph: The graph, calibrated; changed in place.
        calibration: Images like those the model will see.
        images: How many images are looked at; all that fit into ``memory`` if None.
        memory: GiB for the activations that are kept meanwhile.

    Source:
        QwT-v2 (arXiv 2411.13918 follow-up), channel-wise affine compensation. Chosen: its limits,
        and that it stands behind every convolution and linear layer.
    """
    products = {p.node: p for p in products_of(graph) if not is_shared(graph, p)}
    units = [unit_of([node]) for node in products]
    what = "compensate_affine"
    for visit in sweep(graph, calibration, units, images=images, memory=memory, what=what):
        product = products[visit.unit.nodes[0]]
        with torch.no_grad():
            moments = output_moments(visit, product)
            factor = torch.ones_like(moments.mean)
            if _own_scales(graph, product) is not None:
                factor = _slopes(moments)
            offset = moments.mean_float - factor * moments.mean
            _scale_weight(graph, product, factor)
            bias = present_bias(graph, product) * factor + offset
            set_bias(graph, product, bias.float())
    return graph


def _own_scales(graph: QuantGraph, product: Product) -> AffineFakeQuant | None:
    """Return the fake-quant module of a weight with a scale for each output channel."""
    edge = product.weight_edge
    module = None if edge is None else graph.module_of(edge)
    is_own = isinstance(module, AffineFakeQuant) and module.scale.numel() > 1
    if not is_own or product.kind == "conv_transpose2d":
        return None
    assert isinstance(module, AffineFakeQuant)
    return module


def _slopes(moments: OutputMoments) -> Tensor:
    """Return the regression of the float output on the quantized one, [channels]."""
    is_useful = (moments.variance > 0) & (moments.covariance > 0)
    found = moments.covariance / torch.where(is_useful, moments.variance, 1.0)
    return torch.where(is_useful, found.clamp(*_FACTORS), 1.0)


def _scale_weight(graph: QuantGraph, product: Product, factor: Tensor) -> None:
    """Multiply a weight and its scales, so that its codes stay."""
    module = _own_scales(graph, product)
    if module is not None:
        weight = weight_of(graph, product.weight).detach()
        sizes = [-1] + [1] * (weight.ndim - 1)
        graph.set_weight(product.weight, (weight * factor.reshape(sizes)).float())
        module.set_parameters(module.scale * factor.float(), module.zero_point)
