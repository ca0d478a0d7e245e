"""Every recipe with reconstruction runs from end to end, with fewer steps."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hybridquant.pipeline import quantize
from hybridquant.recipe import PassSpec, list_recipes, load_recipe

SYSTEMS = ("aphq_vit", "brecq", "ias_vit", "ias_vit-fixed", "qdrop")
NAMES = [n for n in list_recipes() if n.split("/")[0] in SYSTEMS and "/w4a4" in n]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_runs(name: str, tiny_model: nn.Module, images: Tensor) -> None:
    recipe = load_recipe(name)
    few = {"reconstruct": {"steps": 3}, "search_scale": {"candidates": 4, "rounds": 1}}
    passes = tuple(
        PassSpec(step.name, {**step.options, **few.get(step.name, {})}) for step in recipe.passes
    )
    graph = quantize(tiny_model, images, replace(recipe, passes=passes))
    with torch.no_grad():
        error = (graph(images) - tiny_model(images)).square().mean()
        assert error < 0.5 * tiny_model(images).square().mean()
