"""How far a quantized operator's result is from the float one: what a scale search minimises."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Metric = Literal["cosine", "cosine_rows", "l2", "hessian"]
METRICS = get_args(Metric)
_TINY = 1e-30


def separates(metric: Metric) -> bool:
    """Tell whether the loss of a result is the sum of those of its channels.

    A cosine is not; that of a channel alone would not see its gain.
    """
    return metric in ("l2", "hessian")


def loss_of(
    metric: Metric,
    result: Tensor,
    target: Tensor,
    importance: Tensor | None,
    axis: int | None,
    batch: tuple[int, int],
    rows_axis: int,
) -> Tensor:
    """Return the loss of some images' results; it adds up over images and is never negative.

    * ``l2``: sum of ``(result - target)^2``.
    * ``hessian``: sum of ``(importance * (result - target))^2``.
    * ``cosine``: sum over images of one minus the cosine between all that belongs to an image.
    * ``cosine_rows``: the same between the values of one position (along ``rows_axis``), averaged
      over positions, so that an image counts as much as in ``cosine``.

    Args:
        metric: As above.
        result: Of the quantized operator; overwritten.
        target: Of the float operator, same shape.
        importance: For ``hessian``, broadcasts to the same shape.
        axis: One loss for each index on it, where the metric ``separates``; None for one
            altogether.
        batch: Axis of the images, and the number of images.
        rows_axis: Axis of the values of one position.

    Returns:
        float64 [1], or one loss an index on ``axis``.

    Example:
        >>> loss_of("l2", torch.zeros(2, 3), torch.ones(2, 3), None, 1, (0, 2), 1).tolist()
        [2.0, 2.0, 2.0]
    """
    if metric in ("l2", "hessian"):
        error = result.sub_(target)
        if importance is not None:
            error.mul_(importance)
        return _square_sum(error, axis)
    if metric == "cosine":
        by_image = [x.movedim(batch[0], 0).reshape(batch[1], -1) for x in (result, target)]
        return (1.0 - _cosine(*by_image)).sum().reshape(1)
    cosine = _cosine(result.movedim(rows_axis, -1), target.movedim(rows_axis, -1))
    return ((1.0 - cosine).mean() * batch[1]).reshape(1)


def _square_sum(error: Tensor, axis: int | None) -> Tensor:
    if axis is None:
        flat = error.reshape(-1)
        # In float32 over some images; the caller adds these up in float64.
        return torch.dot(flat, flat).double().reshape(1)
    kept = axis % error.ndim
    others = [i for i in range(error.ndim) if i != kept]
    return error.square_().sum(others).double()


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosine along the last axis, float64; 0 where a vector is zero."""
    product = (a * b).sum(-1, dtype=torch.float64)
    square = a.square().sum(-1, dtype=torch.float64) * b.square().sum(-1, dtype=torch.float64)
    return product / square.sqrt().clamp(min=_TINY)
