"""A captured graph as a table for a person, and as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from hybridquant.capture.bridges import find_bridges
from hybridquant.capture.cost import num_macs, num_weights
from hybridquant.capture.graph import FloatGraph

_HEADER = ("#", "operator", "module", "output", "weights", "MACs", "bridge")
_RIGHT = frozenset({"#", "weights", "MACs", "count"})


def describe_json(graph: FloatGraph) -> dict[str, Any]:
    """Return the graph's operators, blocks, bridges and totals as plain data.

    Keys: ``operators`` (one dict a node, in order), ``kinds`` (count, weights and MACs of each),
    ``blocks`` (paths in order), ``bridges``, ``weights`` and ``macs`` (totals; MACs per image).
    """
    operators: list[dict[str, Any]] = []
    for node in graph.graph.nodes:
        if node.op in ("placeholder", "get_attr", "output"):
            continue
        cost = {"weights": num_weights(graph, node), "macs": num_macs(node)}
        row = {"index": len(operators), "name": node.name, **node.meta, **cost}
        operators.append({**row, "shape": list(node.meta["shape"])})
    kinds: dict[str, dict[str, int]] = {}
    for row in operators:
        total = kinds.setdefault(row["kind"], {"count": 0, "weights": 0, "macs": 0})
        for key, amount in (("count", 1), ("weights", row["weights"]), ("macs", row["macs"])):
            total[key] += amount
    tensors = (*graph.parameters(), *graph.buffers())
    return {
        "operators": operators,
        "kinds": dict(sorted(kinds.items(), key=lambda item: -item[1]["count"])),
        "blocks": [b for b in dict.fromkeys(row["block"] for row in operators) if b is not None],
        "bridges": [_plain(asdict(bridge)) for bridge in find_bridges(graph)],
        "weights": sum(t.numel() for t in tensors if t.is_floating_point()),
        "macs": sum(row["macs"] for row in operators),
    }


def describe(graph: FloatGraph) -> str:
    """Return the graph as a table a person can read, with blocks and bridges marked.

    Example:
        >>> import torch
        >>> from hybridquant.capture import capture
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()).eval()
        >>> print(describe(capture(model, torch.zeros(1, 3, 8, 8))))
        #  operator  module  output        weights   MACs  bridge
        0  conv2d    0       [N, 8, 6, 6]      224  7.78k
        1  relu      1       [N, 8, 6, 6]        0      0
        <BLANKLINE>
        operator  count  weights   MACs
        conv2d        1      224  7.78k
        relu          1        0      0
        total         2      224  7.78k
    """
    plain = describe_json(graph)
    parts = [_operator_table(plain), "", _kind_table(plain)]
    if plain["bridges"]:
        parts += ["", _bridge_table(plain)]
    return "\n".join(parts)


def _operator_table(plain: dict[str, Any]) -> str:
    directions = {b["index"]: b["direction"].replace("_", " ") for b in plain["bridges"]}
    rows: list[Sequence[str]] = []
    titles: dict[int, str] = {}
    block = None
    for row in plain["operators"]:
        if row["block"] != block:
            block = row["block"]
            titles[len(rows)] = f"block {block}" if block else "outside blocks"
        bridge = row["bridge"]
        mark = "" if bridge is None else f"{bridge} {directions[bridge]}"
        shape = _shape(row["shape"], row["batch_factor"])
        numbers = (_short(row["weights"]), _short(row["macs"]))
        rows.append((str(row["index"]), row["kind"], row["path"], shape, *numbers, mark))
    lines = _table(_HEADER, rows)
    for position in sorted(titles, reverse=True):
        lines.insert(position + 1, titles[position])
    return "\n".join(lines)


def _kind_table(plain: dict[str, Any]) -> str:
    rows = [
        (kind, str(total["count"]), _short(total["weights"]), _short(total["macs"]))
        for kind, total in plain["kinds"].items()
    ]
    count = str(len(plain["operators"]))
    rows.append(("total", count, _short(plain["weights"]), _short(plain["macs"])))
    return "\n".join(_table(("operator", "count", "weights", "MACs"), rows))


def _bridge_table(plain: dict[str, Any]) -> str:
    paths = {row["name"]: row["path"] for row in plain["operators"]}
    rows = []
    for bridge in plain["bridges"]:
        exits = ", ".join(dict.fromkeys(paths[name] for name in bridge["exits"]))
        direction = bridge["direction"].replace("_", " ")
        rows.append((str(bridge["index"]), direction, paths[bridge["entry"]], exits))
    return "\n".join(_table(("bridge", "direction", "from", "to"), rows))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table with columns as wide as their widest cell."""
    cells = [header, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if title in _RIGHT else cell.ljust(width)
            for cell, width, title in zip(row, widths, header, strict=True)
        ).rstrip()
        for row in cells
    ]


def _shape(shape: Sequence[int], batch_factor: int) -> str:
    batch = "N" if batch_factor == 1 else f"{batch_factor}N"
    return "[" + ", ".join(batch if size == -1 else str(size) for size in shape) + "]"


def _short(number: int) -> str:
    """Return ``number`` with three digits and a unit, e.g. ``1.27M``."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


def _plain(value: Any) -> Any:
    """Return tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
