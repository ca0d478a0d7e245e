"""An integer model as a table for a person, and as plain data."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from hybridquant.engine.integer_model import IntegerModel
from hybridquant.lower import ChannelCodes, IntGraph, IntNode
from hybridquant.lower.int_graph import AnyCodes
from hybridquant.report import format_table


def describe_integer_json(model: IntegerModel) -> dict[str, Any]:
    """Return the nodes and totals of an integer model as plain data.

    Keys: ``nodes`` (one dict a node, in order), ``kinds`` (count and bytes of constants of each),
    ``float_nodes``, ``copies``, ``file_bytes`` and ``memory_bytes``.
    """
    graph = model.graph
    nodes = [_node(graph, index, node) for index, node in enumerate(graph.nodes)]
    kinds: dict[str, dict[str, int]] = {}
    for row in nodes:
        total = kinds.setdefault(row["op"], {"count": 0, "bytes": 0})
        total["count"] += 1
        total["bytes"] += row["bytes"]
    return {
        "nodes": nodes,
        "kinds": dict(sorted(kinds.items(), key=lambda item: -item[1]["count"])),
        "float_nodes": kinds.get("external", {"count": 0})["count"],
        "copies": model.num_copies,
        "file_bytes": len(model.to_bytes()),
        "memory_bytes": model.memory_bytes,
    }


def describe_integer(model: IntegerModel) -> str:
    """Return the nodes and totals of an integer model as tables.

    Bytes are those of weights, multipliers and tables, as the engine reads them.
    """
    plain = describe_integer_json(model)
    number = {row["name"]: str(row["index"]) for row in plain["nodes"]}
    rows = [
        [
            *(row["index"], row["op"], row["path"]),
            " ".join(number.get(name, name) for name in row["inputs"]),
            *(row["shape"], _codes_text(row), row["bytes"]),
        ]
        for row in plain["nodes"]
    ]
    kinds = [[op, total["count"], total["bytes"]] for op, total in plain["kinds"].items()]
    kinds.append(["total", model.num_nodes, sum(row["bytes"] for row in plain["nodes"])])
    image = "x".join(map(str, model.input_size))
    return "\n".join(
        [
            format_table(["#", "node", "module", "reads", "output", "codes", "bytes"], rows),
            "",
            format_table(["node", "count", "bytes"], kinds),
            "",
            f"uint8 {image} to {model.num_logits} logits. {_in_float(plain['nodes'])}",
            f"Nodes that copy codes: {model.num_copies}. Bytes of the file: "
            f"{plain['file_bytes']}, in memory: {plain['memory_bytes']}.",
        ]
    )


def _codes_text(row: dict[str, Any]) -> str:
    return f"{row['dtype']} a channel" if row["channel_axis"] is not None else str(row["dtype"])


def _in_float(nodes: list[dict[str, Any]]) -> str:
    found = [f"{row['index']} ({row['name']})" for row in nodes if row["op"] == "external"]
    return f"In float: {', '.join(found)}." if found else "No node is float."


def _node(graph: IntGraph, index: int, node: IntNode) -> dict[str, Any]:
    output = graph.tensors[node.output]
    return {
        "index": index,
        "name": node.output,
        "op": node.op,
        "path": node.path,
        "inputs": list(node.inputs),
        "shape": list(output.shape),
        "dtype": output.codes.dtype,
        **_meaning(output.codes),
        "bytes": sum(map(_bytes, node.constants.values())),
    }


def _meaning(codes: AnyCodes) -> dict[str, Any]:
    """Return scale and zero-point; lists of those of the channels where each has its own."""
    if isinstance(codes, ChannelCodes):
        return {
            "channel_axis": codes.axis,
            "scale": list(codes.scales),
            "zero_point": list(codes.zero_points),
        }
    return {"channel_axis": None, "scale": codes.scale, "zero_point": codes.zero_point}


def _bytes(constant: Tensor) -> int:
    return constant.numel() * constant.element_size()
