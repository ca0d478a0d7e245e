"""A quantizer whose setting is searched, with the operators that read through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from hybridquant.layerwise.scale_search import (
    Best,
    Measure,
    Pair,
    candidate_search,
    fpcs_search,
    grid_search,
)
from hybridquant.layerwise.trial import Trial
from hybridquant.observers.distribution import Distribution
from hybridquant.observers.parameters import affine_parameters
from hybridquant.quant_graph import QuantEdge, QuantGraph
from hybridquant.quantizers import SelfCalibrating

Strategy = Literal["grid", "fpcs"]
ZeroPoints = Literal["near", "middle"]

# The narrowest range of FPCS leaves this share of the values out at either end.
_FPCS_TAIL = 0.1


class Tuned:
    """A quantizer whose setting is searched.

    Args:
        graph: The graph.
        edge: One of the edges it quantizes.
        trials: Operators; those that do not read through it are left aside.
    """

    def __init__(self, graph: QuantGraph, edge: QuantEdge, trials: Sequence[Trial]) -> None:
        self.spec, self.module = edge.spec, graph.module_of(edge)
        self._axis = edge.channel_axis
        self._trials = [trial for trial in trials if trial.positions(self.module)]

        self._start = self._pair()

    def start_at_extremes(self) -> None:
        """Let the codes just reach the largest values; quantizers with own levels stay.

        With a symmetric scheme the scale is the largest magnitude over ``2^(bits - 1) - 0.5``,
        halfway between the largest codes of either sign.
        """
        if isinstance(self.module, SelfCalibrating):
            return
        ends = [torch.aminmax(rows, dim=1) for rows in self._rows()]
        low = torch.stack([end.min for end in ends]).amin(0)
        high = torch.stack([end.max for end in ends]).amax(0)
        scale, zero_point = affine_parameters(low, high, self.spec)
        if self.spec.scheme == "symmetric":
            scale = scale * (self.spec.qmax / (self.spec.qmax + 0.5))
        self._start = scale, zero_point
        self.module.set_parameters(scale, zero_point)

    def search(self, strategy: Strategy, zero_points: ZeroPoints, factors: Sequence[float]) -> bool:
        """Search the setting with the least loss, and return whether it is another one.

        Quantizers with levels of their own go through the settings they name, whatever the
        strategy.

        Args:
            strategy: ``grid`` or ``fpcs``.
            zero_points: Of ``fpcs``: around the start's, or around the middle of the codes.
            factors: Of ``grid``, on the start's scale.
        """
        if isinstance(self.module, SelfCalibrating):
            return candidate_search(self.module, self._seen().samples(), self._measure(False))
        best = Best(self.module, self._measure(self._is_apart()))
        if strategy == "grid":
            grid_search(best, self.spec, self._start, factors)
        else:
            centre = self._start[1]
            if zero_points == "middle":
                centre = torch.full_like(centre, (self.spec.qmin + self.spec.qmax + 1) // 2)
            fpcs_search(best, self.spec, self._widths(), centre)
        return best.is_changed

    def _pair(self) -> Pair:
        return self.module.scale.detach().clone(), self.module.zero_point.detach().clone()

    def _is_apart(self) -> bool:
        """Tell whether its scales decide about different parts of every result."""
        axes = [trial.result_axis(self.module) for trial in self._trials]
        return all(axis is not None for axis in axes)

    def _measure(self, is_apart: bool) -> Measure:
        """Return a function that measures the loss of all its operators together.

        One loss for each of its scales where ``is_apart``. See ``Trial.loss_under``.
        """
        axes = [trial.result_axis(self.module) for trial in self._trials]
        losses = [
            trial.loss_under(self.module, axis if is_apart else None)
            for trial, axis in zip(self._trials, axes, strict=True)
        ]

        def measure(bound: Tensor) -> Tensor:
            total = torch.zeros(1, dtype=torch.float64)
            for loss in losses:
                total = total + loss(bound - total)
            return total

        return measure

    def _widths(self) -> tuple[Tensor, Tensor]:
        """Return the width between the 0.1 and 0.9 quantiles, and that of the whole range.

        With a symmetric scheme the width is twice the larger magnitude of the two ends.
        """
        seen = self._seen()
        inner = seen.quantile(_FPCS_TAIL), seen.quantile(1.0 - _FPCS_TAIL)
        outer = seen.low, seen.high
        if self.spec.scheme == "symmetric":
            largest = [torch.maximum(low.abs(), high.abs()) for low, high in (inner, outer)]
            return 2.0 * largest[0], 2.0 * largest[1]
        return inner[1] - inner[0], outer[1] - outer[0]

    def _seen(self) -> Distribution:
        seen = Distribution()
        for rows in self._rows():
            seen.add(rows, rows.amin(1), rows.amax(1))
        return seen

    def _rows(self) -> Iterator[Tensor]:
        """Yield what the module quantizes, [scales, values]."""
        trial = self._trials[0]  # all read the same tensor
        for value in trial.operands(trial.positions(self.module)[0]):
            if self.module.scale.numel() == 1:
                yield value.reshape(1, -1)
            else:
                yield value.movedim(self._axis, 0).reshape(value.shape[self._axis], -1)


def tuned_of(graph: QuantGraph, trials: Sequence[Trial]) -> list[Tuned]:
    """Return the quantizers of some operators, in the order in which they are searched.

    Those of an operator's weight come before those of its input; those of the left operand of a
    matrix product before those of the right one.
    """
    edges: dict[str, QuantEdge] = {}
    for trial in trials:
        left, right = trial.operator.edges
        order = (left, right) if trial.operator.kind == "matmul" else (right, left)
        for edge in order:
            if edge is not None:
                edges.setdefault(edge.module, edge)
    return [Tuned(graph, edge, trials) for edge in edges.values()]
