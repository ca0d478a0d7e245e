"""Recipes by name or from a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from hybridquant.recipe.text import parse_yaml, recipe_from_dict
from hybridquant.recipe.value import Recipe
from hybridquant.registry import unknown_name

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SUFFIXES = (".yaml", ".yml")
CONFIGS = "hybridquant.configs"


def list_recipes() -> list[str]:
    """Return the names of the recipes that come with the package, sorted."""
    return sorted(name for name, _ in _shipped())


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Return a recipe that comes with the package, or one from a file.

    An edited copy of a shipped recipe must not report its figures under the shipped name: a file
    with that name and another content gets its own, the file name without the suffix.

    Args:
        name_or_path: A name from ``list_recipes``, or the path of a ``.yaml`` or ``.yml`` file.

    Raises:
        TypeError: If it is neither text nor a path.
        ValueError: If the name is unknown, or the file is no recipe; the text says where and what
            is wrong.
        FileNotFoundError: If there is no such file.
    """
    if not isinstance(name_or_path, str | Path):
        got = type(name_or_path).__name__
        msg = f"load_recipe: name_or_path must be a name, a path or a Recipe, got {got}"
        raise TypeError(msg)
    if isinstance(name_or_path, Path) or name_or_path.endswith(SUFFIXES):
        return _with_own_name(_load(Path(name_or_path), str(name_or_path)), Path(name_or_path))
    shipped = dict(_shipped())
    if name_or_path not in shipped:
        problem = unknown_name("recipe", name_or_path, shipped)
        msg = f"load_recipe: {problem}; a file must end in {' or '.join(SUFFIXES)}"
        raise ValueError(msg)
    return _load(shipped[name_or_path], f"recipe {name_or_path}")


def _load(file: Traversable, name: str) -> Recipe:
    """Return the recipe in ``file``, which errors call ``name``."""
    if not file.is_file():
        kind = "a folder" if file.is_dir() else "nothing"
        msg = f"load_recipe: {name} must be a file, got {kind}"
        raise FileNotFoundError(msg)
    try:
        return recipe_from_dict(parse_yaml(file.read_text(encoding="utf-8")))
    except UnicodeDecodeError as error:
        msg = f"load_recipe: {name} must be UTF-8 text, got a byte that is not: {error}"
        raise ValueError(msg) from None
    except (yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split())
        msg = f"load_recipe: {name} must be YAML, got a mistake: {problem}"
        raise ValueError(msg) from None
    except ValueError as error:
        msg = f"load_recipe: {name}: {error}"
        raise ValueError(msg) from None


def _with_own_name(recipe: Recipe, path: Path) -> Recipe:
    shipped = dict(_shipped())
    if recipe.name not in shipped or recipe == _load(shipped[recipe.name], recipe.name):
        return recipe
    return replace(recipe, name=path.stem)


def _shipped() -> Iterator[tuple[str, Traversable]]:
    """Yield the name and file of each recipe in ``configs/<system>/<recipe>.yaml``."""
    for system in resources.files(CONFIGS).iterdir():
        # configs/train holds settings of scripts that train models, which are no recipes.
        if system.is_dir() and system.name != "train":
            for file in system.iterdir():
                if file.name.endswith(SUFFIXES):
                    yield f"{system.name}/{file.name.rpartition('.')[0]}", file
