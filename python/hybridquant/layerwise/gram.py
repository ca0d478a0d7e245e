"""Second moments of what a product reads, and the exact least-squares problems they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridquant.layerwise.products import Product
from hybridquant.layerwise.sweep import Visit

# Rows of a product's input that are looked at, spread evenly over images and places.
MOST_ROWS = 16384
# Images whose windows are laid out as rows at a time.
_IMAGES = 2


@dataclass(frozen=True)
class Moments:
    """Means and covariances of a product's input, float and quantized, float64.

    Args:
        mean_float: Of the float input. # [groups, taps]
        mean: Of the quantized input. # [groups, taps]
        covariance: Of the quantized input. # [groups, taps, taps]
        cross: Of the quantized input with the float input. # [groups, taps, taps]
    """

    mean_float: Tensor
    mean: Tensor
    covariance: Tensor
    cross: Tensor

    def about_zero(self) -> Moments:
        """Return the second moments themselves in place of the covariances."""
        outer = self.mean.unsqueeze(2)
        second = self.covariance + outer * self.mean.unsqueeze(1)
        cross = self.cross + outer * self.mean_float.unsqueeze(1)
        return Moments(self.mean_float, self.mean, second, cross)


def moments_of(visit: Visit, product: Product, most_rows: int = MOST_ROWS) -> Moments:
    """Return the moments of what ``product``, the only operator of the visited unit, reads."""
    total = sum(product.num_rows(batch.values[visit.unit.inputs[0]]) for batch in visit.batches)
    step = -(-total // most_rows)
    count, sums = 0, [torch.zeros(1, dtype=torch.float64)] * 4
    shift_float: Tensor | None = None
    for seen_float, seen in _rows(visit, product, step):
        if shift_float is None:  # about the first rows' means, so that nothing cancels
            shift_float, shift = seen_float.mean(1, keepdim=True), seen.mean(1, keepdim=True)
        rows_float, rows = seen_float - shift_float, seen - shift
        parts = (
            rows_float.sum(1, dtype=torch.float64),
            rows.sum(1, dtype=torch.float64),
            (rows.transpose(1, 2) @ rows).double(),
            (rows.transpose(1, 2) @ rows_float).double(),
        )
        sums = [s + part for s, part in zip(sums, parts, strict=True)]
        count += rows.shape[1]
    assert shift_float is not None
    mean_float, mean, second, cross = (s / count for s in sums)
    outer = mean.unsqueeze(2)
    covariance = second - outer * mean.unsqueeze(1)
    cross = cross - outer * mean_float.unsqueeze(1)
    mean_float, mean = mean_float + shift_float.squeeze(1), mean + shift.squeeze(1)
    return Moments(mean_float, mean, covariance, cross)


def _rows(visit: Visit, product: Product, step: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield every ``step``-th row of the float and of the quantized input, a few images at a time.

    Where to start moves on by one from each few to the next, so that all places are seen.
    """
    start = 0
    for batch in visit.batches:
        x_float = visit.operand(batch.floats, product.node, 0, is_float=True)
        x = visit.operand(batch.values, product.node, 0, is_float=False)
        size = len(x) if product.kind == "linear" else _IMAGES
        for both in zip(x_float.split(size), x.split(size), strict=True):
            rows_float, rows = (product.rows(part)[:, start % step :: step] for part in both)
            yield rows_float, rows
            start += 1
