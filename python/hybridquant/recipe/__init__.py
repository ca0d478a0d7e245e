"""Recipes: which edges are quantized and how, and which passes run, as ordered rules in YAML."""

from hybridquant.recipe.files import list_recipes, load_recipe
from hybridquant.recipe.finetune import FinetuneSettings
from hybridquant.recipe.rule import Rule
from hybridquant.recipe.text import recipe_from_dict, recipe_to_dict, recipe_to_yaml
from hybridquant.recipe.value import PassSpec, Recipe

__all__ = [
    "FinetuneSettings",
    "PassSpec",
    "Recipe",
    "Rule",
    "list_recipes",
    "load_recipe",
    "recipe_from_dict",
    "recipe_to_dict",
    "recipe_to_yaml",
]
