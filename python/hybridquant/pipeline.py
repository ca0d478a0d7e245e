"""The straight path: module -> FloatGraph -> QuantGraph -> passes. Read this file first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.recipe import Recipe, load_recipe


def quantize(
    model: nn.Module, calibration: Any, recipe: str | Path | Recipe, *, batch_size: int = 32
) -> QuantGraph:
    """Return a quantized copy of ``model``; the model itself is left as it is.

    Args:
        model: A float32 vision model in eval mode, images [batch, 3, height, width] to logits.
        calibration: Images like those the model will see: what ``load_data`` returns, a float
            tensor [images, 3, height, width], a ``DataLoader``, or a list of batches.
        recipe: A recipe, its name (``hybridquant list recipes``) or the path of a YAML file.
        batch_size: Images a batch, where ``calibration`` is not cut into batches already.

    Returns:
        An ``nn.Module`` with the model's call signature that computes with quantized values.

    Raises:
        ValueError: If the model is in training mode, a rule of the recipe matches nothing, or
            calibration data is empty or not finite.
        NotImplementedError: If the model holds an operator that cannot be captured.
    """
    images = Calibration(calibration, batch_size)
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    float_graph = capture(model, images.first())
    graph = prepare(float_graph, chosen.resolve_all)
    for step in chosen.passes:
        graph = PASSES[step.name](graph, images, **step.options)
    return graph
