"""A quantizer whose setting is searched, with the operators that read through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hybridquant.layerwise.scale_search import Measure, Setting
from hybridquant.layerwise.trial import Trial
from hybridquant.observers.distribution import Distribution
from hybridquant.observers.parameters import affine_parameters
from hybridquant.quant_graph import QuantEdge, QuantGraph
from hybridquant.quantizers.affine import AffineFakeQuant

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

    @property
    def is_searchable(self) -> bool:
        """Whether it is known how to search it."""
        return isinstance(self.module, AffineFakeQuant)

    def setting(self) -> Setting:
        """Return the setting that the module has."""
        return self.module.scale.detach().clone(), self.module.zero_point.detach().clone()

    def measure(self) -> Measure:
        """Return a function that measures the loss of all its operators together.

        One loss for each of its scales where these decide about different parts of every result.
        See ``Trial.loss_under``.
        """
        axes = [trial.result_axis(self.module) for trial in self._trials]
        is_apart = all(axis is not None for axis in axes)
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

    def extreme_setting(self) -> Setting:
        """Return the setting whose codes just reach the largest values.

        With a symmetric scheme that is the largest magnitude over ``2^(bits - 1) - 0.5``, halfway
        between the largest codes of either sign.
        """
        ends = [torch.aminmax(rows, dim=1) for rows in self._rows()]
        low = torch.stack([end.min for end in ends]).amin(0)
        high = torch.stack([end.max for end in ends]).amax(0)
        scale, zero_point = affine_parameters(low, high, self.spec)
        if self.spec.scheme == "symmetric":
            scale = scale * (self.spec.qmax / (self.spec.qmax + 0.5))
        return scale, zero_point

    def widths(self) -> tuple[Tensor, Tensor]:
        """Return the width between the 0.1 and 0.9 quantiles, and that of the whole range.

        With a symmetric scheme the width is twice the larger magnitude of the two ends.
        """
        seen = Distribution()
        for rows in self._rows():
            seen.add(rows, rows.amin(1), rows.amax(1))
        inner = seen.quantile(_FPCS_TAIL), seen.quantile(1.0 - _FPCS_TAIL)
        outer = seen.low, seen.high
        if self.spec.scheme == "symmetric":
            largest = [torch.maximum(low.abs(), high.abs()) for low, high in (inner, outer)]
            return 2.0 * largest[0], 2.0 * largest[1]
        return inner[1] - inner[0], outer[1] - outer[0]

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
