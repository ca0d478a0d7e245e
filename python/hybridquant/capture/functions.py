"""The functions a captured graph calls besides ATen operators."""

from __future__ import annotations

from torch import Tensor


def expand_batch(constant: Tensor, x: Tensor, axis: int, factor: int) -> Tensor:
    """Return ``constant`` repeated along ``axis`` once for each image of ``x``, without a copy.

    Args:
        constant: One image's share, with ``factor`` entries on ``axis``. # [*, factor, *]
        x: Any tensor with the images on axis 0. # [batch, *]
        axis: Axis that gets the batch.
        factor: Entries an image has on that axis; the result is batch-major there.

    Shape:
        ``[*, factor, *] -> [*, batch * factor, *]``

    Example:
        >>> import torch
        >>> token = torch.tensor([[[1.0, 2.0]]])
        >>> expand_batch(token, torch.zeros(3, 5), axis=0, factor=1).shape
        torch.Size([3, 1, 2])
    """
    sizes = list(constant.shape)
    if factor == 1:
        sizes[axis] = x.shape[0]
        return constant.expand(sizes)
    repeated = constant.unsqueeze(axis).expand([*sizes[:axis], x.shape[0], *sizes[axis:]])
    return repeated.flatten(axis, axis + 1)
