"""The recipes of a comparison."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from hybridquant.recipe import Recipe, list_recipes, load_recipe, recipe_to_dict
from hybridquant.registry import unknown_name

_WILD = set("*?[")


def choose_recipes(wanted: Sequence[str | Path | Recipe]) -> list[Recipe]:
    """Return the recipes that are wanted, each once, in their order.

    Args:
        wanted: Recipes, their names, names with ``*``, ``?`` or ``[]`` that stand for all shipped
            recipes that match, or YAML files.

    Raises:
        ValueError: If a name is unknown, nothing matches, two recipes have one name, or there is
            none; or a file is no recipe.
        OSError: If a file cannot be read.

    Example:
        >>> [recipe.name for recipe in choose_recipes(["baseline/w8a8-m*", "baseline/w8a8-mse"])]
        ['baseline/w8a8-minmax', 'baseline/w8a8-mse']
    """
    chosen: dict[str, Recipe] = {}
    for item in wanted:
        for recipe in _meant(item):
            if chosen.setdefault(recipe.name, recipe) != recipe:
                msg = f"compare: recipes must have names of their own, got two named {recipe.name}"
                raise ValueError(msg)
    if not chosen:
        msg = "compare: recipes must name at least one recipe, got none"
        raise ValueError(msg)
    return list(chosen.values())


def recipe_sha256(recipe: Recipe) -> str:
    """Return the hash of what a recipe does: its rules and passes, not how it is called."""
    plain = recipe_to_dict(recipe)
    content = json.dumps([plain["rules"], plain["passes"]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _meant(item: str | Path | Recipe) -> list[Recipe]:
    if isinstance(item, Recipe):
        return [item]
    is_pattern = isinstance(item, str) and _WILD & set(item) and not Path(item).is_file()
    if not is_pattern:
        return [load_recipe(item)]
    names = [name for name in list_recipes() if fnmatch.fnmatchcase(name, str(item))]
    if not names:
        msg = f"compare: {unknown_name('recipe', item, list_recipes())}"
        raise ValueError(msg)
    return [load_recipe(name) for name in names]
