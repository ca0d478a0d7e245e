"""What a product computes in float and quantized, channel by channel."""

from __future__ import annotations

from torch import Tensor

from hybridquant.layerwise.products import Product
from hybridquant.layerwise.sweep import Visit


def outputs_of(visit: Visit, product: Product) -> list[tuple[Tensor, Tensor]]:
    """Return the outputs of a unit that is one product, float and quantized, batch by batch.

    Shape:
        Both [out_channels, values].
    """
    pairs = []
    for batch in visit.batches:
        floats = visit.run_float(batch.floats)[product.node]
        now = visit.run(batch.values)[product.node]
        axis = product.channel_axis
        both = (y.movedim(axis, 0).flatten(1) for y in (floats, now))
        pairs.append((next(both), next(both)))
    return pairs
