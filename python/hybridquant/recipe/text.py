"""Recipes as plain data and as YAML text, and back."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict
from typing import Any, cast

import yaml

from hybridquant.recipe.field_error import FieldError, check, check_keys
from hybridquant.recipe.finetune import FINETUNE_KEYS, FinetuneSettings
from hybridquant.recipe.rule import Rule
from hybridquant.recipe.value import PassSpec, Recipe

RECIPE_KEYS = ("name", "description", "source", "rules", "passes", "finetune")
RULE_KEYS = (
    "operators",
    "modules",
    "operand",
    "producers",
    "skip",
    "bits",
    "scheme",
    "granularity",
    "observer",
    "include_zero",
    "quantizer",
    "optional",
)


def recipe_from_dict(data: object) -> Recipe:
    """Return the recipe that plain data describes (docs/recipes.md has the schema).

    Args:
        data: What YAML or JSON holds: mappings, lists, text, numbers and booleans.

    Raises:
        FieldError: If a key is unknown or missing, or a value is not allowed. The text says where
            it stands, what is required, what was given, and the closest valid names.

    Example:
        >>> recipe = recipe_from_dict(
        ...     {
        ...         "name": "mine",
        ...         "description": "Everything in 8 bits.",
        ...         "rules": [{"operators": "*", "bits": 8, "observer": "mse"}],
        ...         "passes": ["observe"],
        ...     }
        ... )
        >>> recipe.rules[0].operators
        ('*',)
    """
    mapping = _mapping("recipe", data, RECIPE_KEYS)
    for key in ("name", "description", "rules", "passes"):
        check(key in mapping, "recipe", f"have the key {key}", sorted(mapping))
    return Recipe(
        name=mapping["name"],
        description=mapping["description"],
        source=mapping.get("source", ""),
        rules=tuple(_rule(i, item) for i, item in enumerate(_list("rules", mapping["rules"]))),
        passes=tuple(_pass(i, item) for i, item in enumerate(_list("passes", mapping["passes"]))),
        finetune=_finetune(mapping["finetune"]) if "finetune" in mapping else None,
    )


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """Return ``recipe`` as plain data; ``recipe_from_dict`` gives an equal recipe back."""
    data = {"name": recipe.name, "description": recipe.description, "source": recipe.source}
    return {
        **{key: value for key, value in data.items() if value},
        "rules": [_rule_to_dict(rule) for rule in recipe.rules],
        "passes": [{p.name: dict(p.options)} if p.options else p.name for p in recipe.passes],
        **({"finetune": asdict(recipe.finetune)} if recipe.finetune is not None else {}),
    }


def recipe_to_yaml(recipe: Recipe) -> str:
    """Return ``recipe`` as YAML text; loading it gives an equal recipe back."""
    return yaml.safe_dump(
        recipe_to_dict(recipe),
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None,
    )


def parse_yaml(text: str) -> object:
    """Return what YAML text holds: plain data only, and no key twice.

    Raises:
        yaml.YAMLError: If it is no YAML, has a tag, or a mapping has a key twice.
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """The safe loader, but a key that stands twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else None)
        return super().construct_mapping(node, deep)


def _rule(index: int, data: object) -> Rule:
    path = f"rules[{index}]"
    fields = dict(_mapping(path, data, RULE_KEYS))
    check("operators" in fields, path, "have the key operators", sorted(fields), "'*' is all")
    try:
        for key, value in fields.items():
            check(value is not None, key, "have a value", value)
        for key in ("operators", "modules", "producers"):
            if key in fields:
                fields[key] = _patterns(fields[key])
        for key in ("observer", "quantizer"):
            if key in fields:
                fields[key], fields[f"{key}_options"] = _named(key, fields[key])
        for key in ("skip", "optional"):
            check(fields.get(key, True) is True, key, "be true or absent", fields.get(key))
        return Rule(**fields)
    except FieldError as error:
        path = f"{path}.{error.path}"
        raise error.at(path) from None


def _patterns(value: object) -> object:
    """Return a single name or a list of them as a tuple; anything else as it is."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _named(key: str, value: object) -> tuple[Any, dict[str, Any]]:
    """Return the name and the options of ``observer: name`` or ``observer: {name: ..., ...}``."""
    if not isinstance(value, dict):
        return value, {}
    options = dict(value)
    check("name" in options, key, "have the key name", sorted(map(str, options)))
    name = options.pop("name")
    for option, item in options.items():
        hint = "YAML reads a number such as 1e-5 as text; write 1.0e-5"
        is_legal = key == "quantizer" or not isinstance(item, str)
        check(is_legal, f"{key}.{option}", "be a number", item, hint)
    return name, options


def _pass(index: int, data: object) -> PassSpec:
    path = f"passes[{index}]"
    name, options = data, None
    if isinstance(data, dict) and len(data) == 1:
        ((name, options),) = data.items()
        check(isinstance(options, dict), f"{path}.{name}", "be a mapping of options", options)
    check(isinstance(name, str), path, "be the name of a pass, or {name: {option: value}}", data)
    try:
        return PassSpec(str(name), options or {})
    except FieldError as error:
        raise error.at(path) from None


def _finetune(data: object) -> FinetuneSettings:
    try:
        return FinetuneSettings(**_mapping("finetune", data, FINETUNE_KEYS))
    except FieldError as error:
        path = error.path if error.path == "finetune" else f"finetune.{error.path}"
        raise error.at(path) from None


def _rule_to_dict(rule: Rule) -> dict[str, Any]:
    data: dict[str, Any] = {"operators": list(rule.operators)}
    if rule.modules != ("*",):
        data["modules"] = list(rule.modules)
    if rule.operand != "all":
        data["operand"] = rule.operand
    if rule.producers != ("*",):
        data["producers"] = list(rule.producers)
    if rule.skip:
        data["skip"] = True
    if rule.optional:
        data["optional"] = True
    data |= rule.settings()
    for key in ("observer", "quantizer"):
        options = data.pop(f"{key}_options", {})
        if options:
            data[key] = {"name": data[key], **options}
    return data


def _mapping(path: str, data: object, keys: tuple[str, ...]) -> dict[str, Any]:
    check(isinstance(data, dict), path, f"be a mapping with keys among {', '.join(keys)}", data)
    mapping = cast("dict[str, Any]", data)
    check_keys(path, mapping, keys)
    return mapping


def _list(path: str, data: object) -> list[object]:
    check(isinstance(data, list), path, "be a list of at least one", data)
    return cast("list[object]", data)
