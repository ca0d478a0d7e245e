"""AdaRound: whether each weight is rounded up or down, as something that learns."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.quantizers.affine import AffineFakeQuant

# h(V) = clip(sigmoid(V) * (ZETA - GAMMA) + GAMMA, 0, 1)
ZETA, GAMMA = 1.1, -0.1
# V of a weight whose rounding an earlier pass chose: h is about 0.88 or 0.12.
_WARM = 1.5
# How far from the grid, in steps, a weight may be that counts as rounded.
_ON_GRID = 1e-3


class SoftRounding:
    """The rounding of one weight: ``scale * clamp(base + h(V))`` with one V a weight.

    V starts where the soft weight is the weight itself, ``h(V) = frac(W / s)``. A weight that lies
    on the grid already, because a pass has rounded it, starts near that choice instead, and can
    still move to the other neighbour of the float weight.

    Args:
        weight: What is rounded, as the graph holds it.
        original: The float weight.
        quantizer: Its fake-quant module, calibrated.

    Attributes:
        v: The variables, of the weight's shape; a leaf that asks for gradients.

    Source:
        AdaRound, arXiv:2004.10568, equations 21 to 24; the start from a chosen rounding is ours.
    """

    def __init__(self, weight: Tensor, original: Tensor, quantizer: AffineFakeQuant) -> None:
        shape = [1] * weight.ndim
        if quantizer.scale.numel() > 1:
            shape[quantizer.channel_axis] = -1
        self._scale = quantizer.scale.detach().reshape(shape)
        zero_point = quantizer.zero_point.detach().reshape(shape)
        self._low, self._high = quantizer.qmin - zero_point, quantizer.qmax - zero_point
        steps = weight.detach() / self._scale
        codes = steps.round()
        changed = not torch.equal(weight, original)
        if changed and bool(((steps - codes).abs() < _ON_GRID).all()):
            is_up = original / self._scale < codes
            self._base = codes - is_up.float()
            v = torch.where(is_up, _WARM, -_WARM)
        else:
            self._base = steps.floor()
            v = inverse_of_h(steps - self._base)
        self.v = v.requires_grad_(True)

    def soft(self) -> Tensor:
        """Return the weight with its roundings as they are now, between down and up."""
        return self._value(h(self.v))

    @torch.no_grad()
    def hard(self) -> Tensor:
        """Return the weight on its grid: up where ``h(V) >= 0.5``; the code is clamped too."""
        return self._value((self.v >= 0).float())

    def regularizer(self, beta: float) -> Tensor:
        """Return ``sum(1 - |2 h(V) - 1| ** beta)``, 0 where every weight is decided."""
        return (1 - (2 * h(self.v) - 1).abs() ** beta).sum()

    def _value(self, up: Tensor) -> Tensor:
        codes = torch.minimum(torch.maximum(self._base + up, self._low), self._high)
        return codes * self._scale


def h(v: Tensor) -> Tensor:
    """Return the rectified sigmoid of ``v``: 0 for down, 1 for up.

    Example:
        >>> h(torch.tensor([-3.0, 0.0, 3.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    return (torch.sigmoid(v) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def inverse_of_h(share: Tensor) -> Tensor:
    """Return the V whose ``h`` is ``share``, in [0, 1).

    Example:
        >>> h(inverse_of_h(torch.tensor([0.0, 0.25, 0.9])))
        tensor([0.0000, 0.2500, 0.9000])
    """
    return -torch.log((ZETA - GAMMA) / (share - GAMMA) - 1)


def beta_at(
    step: int, steps: int, warmup: float = 0.2, first: float = 20, last: float = 2
) -> float:
    """Return the exponent of the regulariser at a step; 0 while it is not used yet.

    Args:
        step: From 0 to ``steps`` - 1.
        steps: How many there are.
        warmup: Share of the steps without regulariser.
        first: Exponent behind the warm-up; it falls linearly from there.
        last: Exponent at the end.

    Example:
        >>> [round(beta_at(step, 100), 3) for step in (0, 19, 20, 60, 99)]
        [0.0, 0.0, 20.0, 11.0, 2.225]
    """
    start = warmup * steps
    if step < start:
        return 0.0
    return last + (first - last) * (1 - (step - start) / (steps - start))
