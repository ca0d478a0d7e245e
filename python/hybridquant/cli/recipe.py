"""``hybridquant recipe show NAME``: a recipe as YAML."""

from __future__ import annotations

import argparse
from typing import Any

import yaml

from hybridquant.cli import COMMANDS, Say
from hybridquant.recipe import load_recipe, recipe_to_yaml


@COMMANDS.register("recipe")
class RecipeCommand:
    """Show a recipe."""

    help = "show a recipe as YAML"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the action and the recipe's name."""
        parser.add_argument("action", choices=["show"])
        parser.add_argument("name", help="a name from `hybridquant list recipes`, or a YAML file")

    def run(self, args: argparse.Namespace, _say: Say) -> tuple[str, Any]:
        """Return the YAML text, and the same as plain data."""
        text = recipe_to_yaml(load_recipe(args.name))
        return text.rstrip("\n"), yaml.safe_load(text)
