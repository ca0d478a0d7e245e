"""``hybridquant list``: what can be named on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hybridquant.cli import COMMANDS, Say
from hybridquant.models import list_models
from hybridquant.observers import OBSERVERS
from hybridquant.passes import PASSES
from hybridquant.quantizers import QUANTIZERS
from hybridquant.recipe import list_recipes, load_recipe
from hybridquant.registry import Registry
from hybridquant.report import format_table


@COMMANDS.register("list")
class ListCommand:
    """List models, recipes, quantizers, observers or passes."""

    help = "list reference models, recipes, quantizers, observers or passes"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what to list."""
        parser.add_argument("what", choices=sorted(_LISTS))

    def run(self, args: argparse.Namespace, _say: Say) -> tuple[str, Any]:
        """Return the list as a table and as a list of dictionaries."""
        rows = _LISTS[args.what]()
        tables = [[{key: row[key] for key in row if key != "options"} for row in rows]]
        options = [
            {args.what.removesuffix("s"): next(iter(row.values())), **option}
            for row in rows
            for option in row.get("options", [])
        ]
        if options:
            tables.append(options)
        return "\n\n".join(map(_table, tables)), rows


def _table(rows: list[dict[str, Any]]) -> str:
    header = list(rows[0])
    return format_table(header, [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: object) -> object:
    if value is None:
        return "-"
    # Without an exponent: YAML, where an option may go, reads 1e-05 as text.
    return f"{Decimal(str(value)):f}" if isinstance(value, float) else value


def _models() -> list[dict[str, Any]]:
    return [
        {
            "model": entry.name,
            "input": "x".join(str(size) for size in entry.card["input_size"][1:]),
            "parameters": entry.card["parameters"],
            "fp32_top1": entry.card["top1_val"],
            "images": entry.card["top1_images"],
            "file_bytes": entry.weights.stat().st_size,
        }
        for entry in list_models()
    ]


def _recipes() -> list[dict[str, Any]]:
    return [
        {"recipe": name, "description": load_recipe(name).description.split(". ")[0]}
        for name in list_recipes()
    ]


def _registry(registry: Registry[Any]) -> list[dict[str, Any]]:
    return [
        {registry.what: name, "description": (registry[name].__doc__ or "").splitlines()[0]}
        for name in registry.names()
    ]


def _observers() -> list[dict[str, Any]]:
    rows = _registry(OBSERVERS)
    for row in rows:
        row["options"] = [
            {
                "option": name,
                "default": option.default,
                "value": option.requirement(),
                "meaning": option.help,
            }
            for name, option in OBSERVERS[row["observer"]].OPTIONS.items()
        ]
    return rows


_LISTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "models": _models,
    "recipes": _recipes,
    "quantizers": lambda: _registry(QUANTIZERS),
    "observers": _observers,
    "passes": lambda: _registry(PASSES),
}
