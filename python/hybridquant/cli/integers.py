"""The integer model of a quantized one: whether the command line makes it, and its figures."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from hybridquant.engine import IntegerModel
from hybridquant.lower import LoweringError
from hybridquant.models import LoadedModel
from hybridquant.pipeline import to_integer
from hybridquant.quant_graph import QuantGraph
from hybridquant.recipe import Recipe

# Recipes of this folder promise that no operator is float.
_FOLDER = "integer/"


def add_integer(parser: argparse.ArgumentParser) -> None:
    """Declare --integer."""
    parser.add_argument(
        "--integer",
        choices=["auto", "always", "never"],
        default="auto",
        help="write an integer model: auto (default), where every operator can become integer, and "
        f"fail where one cannot under a recipe {_FOLDER}*; always, or fail; never",
    )


def lower_for(
    args: argparse.Namespace, graph: QuantGraph, model: LoadedModel, recipe: Recipe
) -> tuple[IntegerModel | None, tuple[str, ...] | None]:
    """Return the integer model of ``graph``, where there is one, and its float operators.

    The operators are one line each, with module, reason and remedy; None where nobody looked.

    Raises:
        LoweringError: If an operator cannot become integer where all must.
    """
    if args.integer == "never":
        return None, None
    try:
        integer = to_integer(graph, model.data_config, model.classes)
    except LoweringError as error:
        if args.integer == "always" or recipe.name.startswith(_FOLDER):
            raise
        return None, error.problems
    return IntegerModel(integer.to_bytes(), torch.get_num_threads()), ()


def integer_metrics(
    integer: IntegerModel | None, float_operators: tuple[str, ...] | None
) -> dict[str, Any]:
    """Return what metrics.json says of the integer model itself; null where there is none."""
    operators = None if float_operators is None else list(float_operators)
    return {
        "float_nodes": None if operators is None else len(operators),
        "float_operators": operators,
        "integer_nodes": integer.num_nodes if integer else None,
        "copies": integer.num_copies if integer else None,
        "integer_bytes": len(integer.to_bytes()) if integer else None,
        "integer_memory_bytes": integer.memory_bytes if integer else None,
    }
