"""What a product computes in float and quantized, channel by channel, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridquant.layerwise.products import Product
from hybridquant.layerwise.sweep import Visit


@dataclass(frozen=True)
class OutputMoments:
    """Means, variances and covariance of each channel of a product's outputs, float64 [channels].

    Args:
        mean_float: Mean in float.
        mean: Mean quantized.
        variance: Variance quantized.
        covariance: Covariance of the two.
    """

    mean_float: Tensor
    mean: Tensor
    variance: Tensor
    covariance: Tensor


def output_moments(visit: Visit, product: Product) -> OutputMoments:
    """Return the moments of the outputs of a unit that is one product.

    They are taken about the first batch's means, so that nothing cancels, and in float64.
    """
    shifts: tuple[Tensor, Tensor] | None = None
    count, sums = 0, [torch.zeros(1, dtype=torch.float64)] * 4
    for floats, now in outputs_of(visit, product):
        if shifts is None:
            shifts = floats.double().mean(1, keepdim=True), now.double().mean(1, keepdim=True)
        x, y = floats.double() - shifts[0], now.double() - shifts[1]
        parts = (x.sum(1), y.sum(1), (y * y).sum(1), (x * y).sum(1))
        sums = [total + part for total, part in zip(sums, parts, strict=True)]
        count += x.shape[1]
    assert shifts is not None
    x_mean, y_mean, y_square, product_mean = (total / count for total in sums)
    return OutputMoments(
        x_mean + shifts[0].squeeze(1),
        y_mean + shifts[1].squeeze(1),
        (y_square - y_mean * y_mean).clamp(min=0),
        product_mean - x_mean * y_mean,
    )


def outputs_of(visit: Visit, product: Product) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the outputs of a unit that is one product, float and quantized, batch by batch.

    Shape:
        Both [out_channels, values].
    """
    for batch in visit.batches:
        both = (visit.run_float(batch.floats), visit.run(batch.values))
        floats, now = (
            values[product.node].movedim(product.channel_axis, 0).flatten(1) for values in both
        )
        yield floats, now
