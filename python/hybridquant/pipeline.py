"""The straight path: module -> FloatGraph -> QuantGraph -> IntegerModel. Read this file first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.data import DataConfig
from hybridquant.engine import IntegerModel
from hybridquant.export import integer_model_bytes
from hybridquant.lower import lower
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.recipe import Recipe, load_recipe


def quantize(
    model: nn.Module, calibration: Any, recipe: str | Path | Recipe, *, batch_size: int = 32
) -> QuantGraph:
    """Return a quantized copy of ``model``, an ``nn.Module``; the model itself is left as it is.

    Args:
        model: A float32 vision model in eval mode, images [batch, 3, height, width] to logits.
        calibration: ``load_data``'s images, float [images, 3, height, width], a ``DataLoader``, or
            a ``Calibration`` of one of them, which several processes can share.
        recipe: A recipe, its name (``hybridquant list recipes``) or the path of a YAML file.
        batch_size: Images a batch, where ``calibration`` is not cut into batches already.

    Raises:
        ValueError: If the model is in training mode, a rule matches nothing, or images are NaN.
        NotImplementedError: If the model holds an operator that cannot be captured.
    """
    is_ready = isinstance(calibration, Calibration)
    images = calibration if is_ready else Calibration(calibration, batch_size)
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    graph = prepare(capture(model, images.first()), chosen.resolve_all)
    for step in chosen.passes:
        graph = PASSES[step.name](graph, images, **step.options)
    return graph


def to_integer(
    graph: QuantGraph, config: DataConfig, classes: Sequence[str] | None = None, **options: Any
) -> IntegerModel:
    """Return the integer model of a quantized graph; a LoweringError lists what cannot be one.

    Args:
        graph: From ``quantize``, with a recipe that quantizes every operator.
        config: How photographs become its input, ``LoadedModel.data_config``.
        classes: Name of each logit, where known.
        **options: ``rounding`` and ``allow_float``, as in ``hybridquant.lower.lower``.
    """
    lowered = lower(graph, config.mean, config.std, **options)
    file = integer_model_bytes(lowered, config, classes or ())
    return IntegerModel(file, functions=lowered.functions)
