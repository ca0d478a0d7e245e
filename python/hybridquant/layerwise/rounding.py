"""Rounding of weights that are judged together: GPTQ's order of columns, coordinate descent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hybridquant.quantizers import FakeQuant
from hybridquant.quantizers.affine import AffineFakeQuant

_MOST_SWEEPS = 100


@dataclass(frozen=True)
class Grid:
    """The values that quantized weights may have.

    Args:
        scale: float64 [groups, rows, 1], or one that expands to it.
        zero_point: The same shape.
        qmin: Smallest code.
        qmax: Largest code.
    """

    scale: Tensor
    zero_point: Tensor
    qmin: int
    qmax: int

    @classmethod
    def of(cls, module: FakeQuant, groups: int) -> Grid:
        """Return the grid of the fake-quant module of a weight.

        Raises:
            NotImplementedError: If its levels are not evenly spaced.
        """
        if not isinstance(module, AffineFakeQuant):
            msg = f"round_gptq: weights must have quantizer affine, got {type(module).__name__}"
            raise NotImplementedError(msg)
        shape = [groups, -1, 1] if module.scale.numel() > 1 else [1, 1, 1]
        scale = module.scale.detach().double().reshape(shape)
        zero_point = module.zero_point.detach().double().reshape(shape)
        return cls(scale, zero_point, module.qmin, module.qmax)

    def nearest(self, weight: Tensor) -> Tensor:
        """Return the nearest value of the grid to each weight. Shape [groups, rows, ...]."""
        codes = torch.round(weight / self.scale) + self.zero_point
        return (codes.clamp(self.qmin, self.qmax) - self.zero_point) * self.scale


def gptq(weight: Tensor, second: Tensor, grid: Grid, damping: float) -> Tensor:
    """Round one column after the other; what that loses is made up for in the columns that follow.

    Args:
        weight: float64 [groups, rows, columns].
        second: H, whose ``(q - w)' H (q - w)`` is what a row loses. # [groups, columns, columns]
        grid: Where weights may lie.
        damping: Added to the diagonal of H, as a share of its mean.

    Source:
        Frantar et al., 2022, "GPTQ" (arXiv 2210.17323, released code with act-order: columns by
        falling diagonal). Chosen: a column that is always zero keeps its nearest values.
    """
    second = damped(second, damping)
    order = second.diagonal(dim1=1, dim2=2).argsort(dim=1, descending=True, stable=True)
    sorted_rows = second.gather(1, order.unsqueeze(2).expand_as(second))
    sorted_second = sorted_rows.gather(2, order.unsqueeze(1).expand_as(second))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(sorted_second))
    upper = torch.linalg.cholesky(inverse, upper=True)
    places = order.unsqueeze(1).expand_as(weight)
    left, rounded = weight.gather(2, places), torch.empty_like(weight)
    for k in range(weight.shape[2]):
        rounded[:, :, k] = grid.nearest(left[:, :, k : k + 1]).squeeze(2)
        lost = (left[:, :, k] - rounded[:, :, k]) / upper[:, k, k].unsqueeze(1)
        left[:, :, k:] -= lost.unsqueeze(2) * upper[:, k, k:].unsqueeze(1)
    return torch.empty_like(weight).scatter_(2, places, rounded)


def descend(
    rounded: Tensor, weight: Tensor, second: Tensor, grid: Grid, sweeps: int, damping: float
) -> Tensor:
    """Move one column after the other to its best values with all others as they are.

    What a row loses never grows.

    Args:
        rounded: Where to start, on the grid. # [groups, rows, columns]
        weight: What is rounded, float64, same shape.
        second: As in ``gptq``.
        grid: Where weights may lie.
        sweeps: How often each column is looked at; it ends where none moves.
        damping: As in ``gptq``.

    Source:
        COMQ (arXiv 2403.07134), in the form that needs H alone; columns by falling diagonal.
    """
    second = damped(second, damping)
    diagonal = second.diagonal(dim1=1, dim2=2)
    order = diagonal.sum(0).argsort(descending=True, stable=True).tolist()
    rounded = rounded.clone()
    error = (rounded - weight) @ second
    for _ in range(min(sweeps, _MOST_SWEEPS)):
        is_moved = False
        for k in order:
            wanted = rounded[:, :, k] - error[:, :, k] / diagonal[:, k].unsqueeze(1)
            step = grid.nearest(wanted.unsqueeze(2)).squeeze(2) - rounded[:, :, k]
            if bool(step.any()):
                is_moved = True
                rounded[:, :, k] += step
                error += step.unsqueeze(2) * second[:, k].unsqueeze(1)
        if not is_moved:
            break
    return rounded


def ridge(weight: Tensor, second: Tensor, cross: Tensor, strength: float) -> Tensor:
    """Return the weights whose product with the quantized input comes closest to the float one.

    Minimises ``|x w - x_hat w_new|^2 + l |w_new - w|^2`` with l = ``strength`` times the mean
    diagonal of ``second``.

    Args:
        weight: float64 [groups, rows, columns].
        second: Second moments of the quantized input x_hat. # [groups, columns, columns]
        cross: Those of x_hat with the float input x. # [groups, columns, columns]
        strength: Above 0.

    Source:
        ERQ (ICML 2024), step Aqer; chosen: l relative to the data.
    """
    penalty = strength * second.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
    eye = torch.eye(second.shape[1], dtype=second.dtype) * penalty[:, None, None]
    wanted = (cross + eye) @ weight.transpose(1, 2)
    solved: Tensor = torch.linalg.solve(second + eye, wanted)
    return solved.transpose(1, 2).contiguous()


def damped(second: Tensor, damping: float) -> Tensor:
    """Return H with ``damping`` times its mean diagonal added; dead columns get that mean, or 1."""
    diagonal = second.diagonal(dim1=1, dim2=2)
    mean = diagonal.mean(1, keepdim=True)
    extra = torch.where(diagonal <= 0, torch.where(mean > 0, mean, 1.0), damping * mean)
    return second + torch.diag_embed(extra)
