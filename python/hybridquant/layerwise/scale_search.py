"""Searches for the scale and zero-point of one quantizer with the least loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hybridquant.observers.parameters import SMALLEST_SCALE, affine_parameters
from hybridquant.quantizers import FakeQuant, SelfCalibrating
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

# Scale and zero-point, [channels] each.
Pair = tuple[Tensor, Tensor]
# The loss under the module's settings, float64 [1] or [channels]; see ``Trial.loss_under``.
Measure = Callable[[Tensor], Tensor]

# Steps from zero to an end of the range, in the search for a zero-point.
_END_STEPS = 32
# Of FPCS: zero-points and scales of the first grid, survivors, scales around each, refinements.
_FPCS_ZERO_POINTS, _FPCS_SCALES, _FPCS_KEPT, _FPCS_SPLIT, _FPCS_STEPS = 16, 8, 16, 8, 5


class Best:
    """The best setting of a module so far, for each channel where each has a loss of its own.

    Args:
        module: The module; left with the last setting that was tried until ``settle``.
        measure: Measures the loss.

    Attributes:
        setting: The best so far; the module's own at the beginning.
        loss: Its loss, float64 [1] or [channels].
        is_changed: Whether it is another than at the beginning.
    """

    def __init__(self, module: FakeQuant, measure: Measure) -> None:
        self._module, self._measure = module, measure
        self.setting: Pair = module.scale.detach().clone(), module.zero_point.detach().clone()
        self.is_changed = False
        self.loss = measure(torch.tensor([torch.inf], dtype=torch.float64))

    def measure(self, setting: Pair, bound: Tensor) -> Tensor:
        """Return the loss of a setting; that of part of the images where it reaches ``bound``."""
        self._module.set_parameters(*usable(setting))
        return self._measure(bound)

    def consider(self, setting: Pair) -> None:
        """Keep a setting where its loss is less than the least so far."""
        loss = self.measure(setting, self.loss)
        is_better = loss < self.loss
        if bool(is_better.any()):
            old, new = self.setting, usable(setting)
            self.setting = (
                torch.where(is_better, new[0], old[0]),
                torch.where(is_better, new[1], old[1]),
            )
            self.loss = torch.where(is_better, loss, self.loss)
            self.is_changed = True

    def settle(self) -> None:
        """Leave the module with the best setting."""
        self._module.set_parameters(*self.setting)


def usable(setting: Pair) -> Pair:
    """Return a setting with scales that the operators take."""
    return setting[0].clamp(min=SMALLEST_SCALE).float(), setting[1].float()


def grid_search(best: Best, spec: QuantSpec, start: Pair, factors: Sequence[float]) -> None:
    """Try the start's scale times each factor; then other zero-points, where the scheme has them.

    For these the upper end of the best range moves to 35 places from zero to just outside, and then
    the lower end (chosen).

    Args:
        best: The best setting so far; what is found goes there.
        spec: How the module quantizes.
        start: What the factors multiply.
        factors: As the name says; those near the best so far come first.
    """
    scale, zero_point = start
    now = float((best.setting[0].double() / scale.double()).log().mean().exp())
    # The sooner a good one is found, the sooner the bad ones are given up.
    for factor in sorted(factors, key=lambda f: abs(f / now - 1.0)):
        best.consider((scale * factor, zero_point))
    for end in (1, 0) if spec.scheme == "asymmetric" else ():
        scale, zero_point = best.setting
        ends = [scale * (code - zero_point) for code in (spec.qmin, spec.qmax)]
        for i in sorted(range(_END_STEPS + 3), key=lambda i: abs(i - _END_STEPS)):
            moved = [each * (i / _END_STEPS) if j == end else each for j, each in enumerate(ends)]
            best.consider(affine_parameters(moved[0], moved[1], spec))
    best.settle()


def fpcs_search(best: Best, spec: QuantSpec, widths: tuple[Tensor, Tensor], centre: Tensor) -> None:
    """Search for a pair of scale and zero-point in steps that get finer (AdaLog's FPCS).

    First 16 zero-points by 8 scales; the 16 best pairs survive. Then five times 8 scales around
    each survivor, within half the last spacing on either side; the spacing is divided by 7.5 and
    the 16 best survive. With a symmetric scheme the zero-point is 0 and 128 scales are tried first.

    Args:
        best: The best setting so far; what is found goes there.
        spec: How the module quantizes.
        widths: Widths of the narrowest and of the widest range to try, [channels] each.
        centre: The zero-point in the middle of those tried, [channels].

    Source:
        AdaLog, arXiv 2407.12951, and its released code.
    """
    low, high = (width.double() / (spec.qmax - spec.qmin) for width in widths)
    zero_points, num_scales = [centre], _FPCS_ZERO_POINTS * _FPCS_SCALES
    if spec.scheme == "asymmetric":
        first, num_scales = -(_FPCS_ZERO_POINTS // 2), _FPCS_SCALES
        shifted = [centre + first + i for i in range(_FPCS_ZERO_POINTS)]
        zero_points = [z.clamp(spec.qmin, spec.qmax) for z in shifted]
    spacing = (high - low) / (num_scales - 1)
    pairs = [(low + spacing * i, z) for z in zero_points for i in range(num_scales)]
    for step in range(_FPCS_STEPS + 1):
        scales, points = _survivors(best, pairs)
        if step == _FPCS_STEPS:
            break
        offsets = torch.linspace(-0.5, 0.5, _FPCS_SPLIT, dtype=torch.float64)
        pairs = [
            (scale + spacing * offset, point)
            for scale, point in zip(scales, points, strict=True)
            for offset in offsets
        ]
        spacing = spacing / 7.5
    best.settle()


def candidate_search(module: SelfCalibrating, samples: Samples, measure: Measure) -> bool:
    """Try every setting that a quantizer with levels of its own names; keep the best.

    Args:
        module: The quantizer, calibrated; its setting stays where none has a smaller loss.
        samples: What it quantizes.
        measure: Measures the loss, one for all channels.

    Returns:
        Whether another setting is used than before.
    """
    found = before = module.setting()
    least = measure(torch.tensor([torch.inf], dtype=torch.float64))
    for setting in module.candidates(samples):
        module.use(setting)
        loss = measure(least)
        if bool(loss < least):
            found, least = setting, loss
    module.use(found)
    return found is not before


def _survivors(best: Best, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Return the 16 best pairs, [16, channels] each, ranked for each channel or altogether."""
    losses: list[Tensor] = []
    bound = torch.tensor([torch.inf], dtype=torch.float64)
    for pair in pairs:
        losses.append(best.measure(pair, bound))
        if len(losses) >= _FPCS_KEPT:
            bound = torch.stack(losses).topk(_FPCS_KEPT, 0, largest=False).values[-1]
    scales, points = (torch.stack([pair[i].double() for pair in pairs]) for i in (0, 1))
    order = torch.stack(losses).topk(_FPCS_KEPT, 0, largest=False).indices
    order = order.expand(-1, scales.shape[1])
    scales, points = scales.gather(0, order), points.gather(0, order)
    best.consider((scales[0], points[0]))
    return scales, points
