"""The analysis of a model under a recipe, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from hybridquant.analysis.operators import Operator
from hybridquant.analysis.raising import WEIGHT_BITS, Raise, raises_for, with_raises
from hybridquant.analysis.ranges import ChannelRanges, channel_ranges
from hybridquant.analysis.sensitivity import Sensitivity, measure, worst_first
from hybridquant.calibration import Calibration
from hybridquant.pipeline import quantize
from hybridquant.quant_graph import QuantGraph, find_edges
from hybridquant.recipe import Recipe, load_recipe
from hybridquant.report import Fidelity
from hybridquant.types import Edge


@dataclass(frozen=True)
class Analysis:
    """Where a recipe hurts a model.

    Args:
        recipe: The recipe.
        edges: All edges of the model, in graph order.
        sensitivities: Each quantized operator, in graph order.
        ranges: Each quantized tensor, channel by channel, in graph order.
        quantized: The quantized model beside the float one, on the images of the sensitivity.
        graph: The quantized model.
    """

    recipe: Recipe
    edges: tuple[Edge, ...]
    sensitivities: tuple[Sensitivity, ...]
    ranges: tuple[ChannelRanges, ...]
    quantized: Fidelity
    graph: QuantGraph = field(compare=False, repr=False)

    def worst_first(self, metric: str = "kl") -> list[Operator]:
        """Return the operators from the most sensitive to the least.

        Args:
            metric: ``kl`` and ``sqnr`` of the operator quantized alone, ``fisher``, or ``gain``.

        Raises:
            ValueError: If there is no such metric.
        """
        return [found.operator for found in worst_first(self.sensitivities, metric)]

    def kept(self, count: int = 5, bits: int = 16, metric: str = "kl") -> tuple[Raise, ...]:
        """Return what keeps the ``count`` most sensitive operators at higher precision.

        Args:
            count: How many operators, at least 1.
            bits: Of their inputs, where they have fewer; weights get 8, where they have fewer.
            metric: As for ``worst_first``.

        Raises:
            ValueError: If ``count`` is below 1 or there is no such metric.
        """
        if count < 1:
            msg = f"kept: count must be at least 1, got {count}"
            raise ValueError(msg)
        worst = self.worst_first(metric)[:count]
        weights = raises_for(worst, "weight", WEIGHT_BITS)
        return (*weights, *raises_for(worst, "activation", bits))

    def recipe_that_keeps(self, count: int = 5, bits: int = 16, metric: str = "kl") -> Recipe:
        """Return the recipe with rules that keep the most sensitive operators.

        Args:
            count: As for ``kept``.
            bits: As for ``kept``.
            metric: As for ``worst_first``.

        Raises:
            ValueError: As for ``kept``, or if the operators have that many bits already.
        """
        raises = self.kept(count, bits, metric)
        if not raises:
            msg = (
                f"recipe_that_keeps: bits must be above those of the {count} most sensitive "
                f"operators, got {bits}"
            )
            raise ValueError(msg)
        base = self.recipe
        description = (
            f"{base.name} with inputs of {bits} bits for the {count} operators that one model is "
            f"most sensitive to. {base.description}"
        )
        return with_raises(base, raises, self.edges, f"{base.name}-keep{count}", description)


def analyze(
    model: nn.Module,
    calibration: Any,
    recipe: str | Path | Recipe,
    *,
    probe: Any = None,
    batch_size: int = 32,
) -> Analysis:
    """Return where ``recipe`` hurts ``model``: sensitivities and the ranges of channels.

    Costs a calibration, one pass in float for the ranges, and for the sensitivities about as many
    passes over the images of ``probe`` as the model has operators; see ``measure``.

    Args:
        model: A float32 vision model in eval mode, images [batch, 3, height, width] to logits.
        calibration: ``load_data``'s images, float [images, 3, height, width], or a ``DataLoader``.
        recipe: A recipe, its name or the path of a YAML file.
        probe: Images for the sensitivities, in any of the forms of ``calibration``; by default
            those. Some 64 are enough to find the worst operators.
        batch_size: Images a batch, where they are not cut into batches already.

    Raises:
        ValueError: If the model is in training mode, a rule matches nothing, or images are NaN.
        NotImplementedError: If the model holds an operator that cannot be captured.
    """
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    graph = quantize(model, calibration, chosen, batch_size=batch_size)
    images = Calibration(calibration if probe is None else probe, batch_size)
    sensitivities, quantized = measure(graph, images)
    return Analysis(
        recipe=chosen,
        edges=tuple(find_edges(graph)),
        sensitivities=tuple(sensitivities),
        ranges=tuple(channel_ranges(graph, Calibration(calibration, batch_size))),
        quantized=quantized,
        graph=graph,
    )
