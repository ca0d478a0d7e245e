"""More bits for the most sensitive operators, until a model loses no more than it may."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from hybridquant.analysis.entry import Analysis
from hybridquant.analysis.operators import Operator
from hybridquant.analysis.raising import WEIGHT_BITS, Raise, raises_for, with_raises
from hybridquant.calibration import Calibration
from hybridquant.pipeline import quantize
from hybridquant.quant_graph import QuantGraph
from hybridquant.recipe import Recipe
from hybridquant.report import Predictions, fidelity, predict
from hybridquant.types import Edge

INPUT_BITS = 16


@dataclass(frozen=True)
class Step:
    """What one recipe gave.

    Args:
        weights: How many of the raises of weights to 8 bits it has.
        inputs: How many of the raises of inputs to 16 bits it has.
        drop: Points lost beside the float model; below 0 where it won some.
        top1: Top-1 accuracy, 0 to 1; None without labels.
        agreement: Share of images with the class of the float model, 0 to 1.
    """

    weights: int
    inputs: int
    drop: float
    top1: float | None
    agreement: float


@dataclass(frozen=True)
class Fallback:
    """The recipe that a search for a small enough drop ended with, and how it got there.

    Args:
        recipe: The first in order of its raises that keeps the drop, of those that were tried; the
            one with the smallest drop where none does.
        graph: The model quantized by it.
        step: What it gives.
        is_reached: Whether it keeps the drop.
        max_drop: Points that may be lost.
        metric: ``top1`` or ``agreement``: what the points are of.
        raises: All that could be raised, in the order in which it is.
        steps: Every recipe that was tried, in the order of trial.
    """

    recipe: Recipe
    graph: QuantGraph = field(compare=False, repr=False)
    step: Step
    is_reached: bool
    max_drop: float
    metric: str
    raises: tuple[Raise, ...]
    steps: tuple[Step, ...]

    @property
    def taken(self) -> tuple[Raise, ...]:
        """The raises that the recipe has."""
        return self.raises[: self.step.weights + self.step.inputs]


def limit_drop(
    model: nn.Module,
    calibration: Any,
    analysis: Analysis,
    max_drop: float,
    *,
    metric: str = "kl",
    evaluation: Any = None,
    batch_size: int = 32,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Fallback:
    """Return the recipe with as few raises as found that loses at most ``max_drop`` points.

    From the most sensitive operator to the least, its weight gets 8 bits where it has fewer, then
    its inputs 16 where they have fewer. How many raises are enough is searched by
    bisection, which takes it that more raises never lose more: what it returns was measured, but a
    smaller number of raises may do as well.

    Costs one quantization and one evaluation a step; the steps are about two more than the binary
    logarithm of the number of raises.

    Args:
        model: The float model; not changed.
        calibration: As for ``quantize``.
        analysis: Of this model under the recipe to start from.
        max_drop: Points of top-1 where ``evaluation`` has labels, else of agreement.
        metric: What the order of raises is of; as for ``Analysis.worst_first``.
        evaluation: Pairs of images and labels, or what ``load_data`` returns; by default the
            calibration images, for agreement.
        batch_size: Images a batch, where they are not cut into batches already.
        on_step: Called after each step.

    Raises:
        ValueError: If ``max_drop`` is no number of at least 0, or there is no such metric.
    """
    if not (math.isfinite(max_drop) and max_drop >= 0):
        msg = f"limit_drop: max_drop must be a number of at least 0, got {max_drop}"
        raise ValueError(msg)
    worst = analysis.worst_first(metric)
    raises = _raises(worst)
    images = _Unlabelled(calibration, batch_size) if evaluation is None else evaluation
    original = predict(model, images, batch_size=batch_size, what="evaluate float32")
    tried: list[_Trial] = []

    def is_enough(count: int) -> bool:
        recipe, graph = analysis.recipe, analysis.graph
        if count:
            recipe = _recipe(recipe, raises[:count], analysis.edges)
            graph = quantize(model, calibration, recipe, batch_size=batch_size)
        found = predict(graph, images, batch_size=batch_size, what="evaluate quantized")
        step = _step(raises[:count], original, found)
        on_step(step)
        steps.append(step)
        # Only the best so far keeps its graph.
        tried[:] = [min([*tried, _Trial(step, recipe, graph)], key=lambda t: t.rank(max_drop))]
        return step.drop <= max_drop

    steps: list[Step] = []
    is_reached = _fewest(len(raises), is_enough) is not None
    (best,) = tried
    return Fallback(
        recipe=best.recipe,
        graph=best.graph,
        step=best.step,
        is_reached=is_reached,
        max_drop=max_drop,
        metric="agreement" if best.step.top1 is None else "top1",
        raises=tuple(raises),
        steps=tuple(steps),
    )


@dataclass(frozen=True)
class _Trial:
    step: Step
    recipe: Recipe
    graph: QuantGraph

    def rank(self, max_drop: float) -> tuple[bool, float, int]:
        """Return what is least for the trial to return: few raises, or the smallest drop."""
        raises = self.step.weights + self.step.inputs
        is_missed = self.step.drop > max_drop
        return (is_missed, self.step.drop if is_missed else 0.0, raises)


def _raises(worst: Sequence[Operator]) -> list[Raise]:
    """Return all raises, operator by operator, each once."""
    found: dict[Raise, None] = {}
    for operator in worst:
        found |= dict.fromkeys(raises_for([operator], "weight", WEIGHT_BITS))
        found |= dict.fromkeys(raises_for([operator], "activation", INPUT_BITS))
    return list(found)


def _fewest(most: int, is_enough: Callable[[int], bool]) -> int | None:
    """Return the smallest number found to be enough by bisection; None where not even all are."""
    if is_enough(0):
        return 0
    if most == 0 or not is_enough(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _recipe(recipe: Recipe, raises: Sequence[Raise], edges: Sequence[Edge]) -> Recipe:
    weights = sum(wanted.operand == "weight" for wanted in raises)
    inputs = len(raises) - weights
    name = f"{recipe.name}-raised{len(raises)}"
    description = (
        f"{recipe.name} with {weights} weights raised to {WEIGHT_BITS} bits and the inputs of "
        f"{inputs} operators to {INPUT_BITS}. {recipe.description}"
    )
    return with_raises(recipe, raises, edges, name, description)


def _step(raises: Sequence[Raise], original: Predictions, found: Predictions) -> Step:
    weights = sum(wanted.operand == "weight" for wanted in raises)
    agreement = fidelity(original, found).agreement
    is_labelled = int(original.labels.min()) >= 0
    top1 = found.top1 if is_labelled else None
    drop = 100 * (1 - agreement if top1 is None else original.top1 - top1)
    # Shares are quotients: a drop of half a point must not become 0.5000000001.
    return Step(weights, len(raises) - weights, round(drop, 9), top1, agreement)


class _Unlabelled:
    """Calibration images as the pairs that ``predict`` wants, which can be gone through again."""

    def __init__(self, calibration: Any, batch_size: int) -> None:
        self._calibration = Calibration(calibration, batch_size)

    def __iter__(self) -> Any:
        for x in self._calibration:
            yield x, torch.full([len(x)], -1)
