"""Rules by which the nodes of an IntGraph round."""

from __future__ import annotations

from dataclasses import replace

from hybridquant.lower.int_graph import IntGraph

SINGLE = "single"
_ONE_FACTOR = ("half_even", "double")
# The rules beside SINGLE of each kind of node: what its attribute ``rounding`` may be.
RULES: dict[str, tuple[str, ...]] = {
    "conv2d": _ONE_FACTOR,
    "linear": _ONE_FACTOR,
    "matmul": _ONE_FACTOR,
    "mul": _ONE_FACTOR,
    "requantize": _ONE_FACTOR,
    "mean": _ONE_FACTOR,
    "amax": _ONE_FACTOR,
    "amin": _ONE_FACTOR,
    "avg_pool2d": _ONE_FACTOR,
    "resize_bilinear": _ONE_FACTOR,
    # DOUBLE is a rule for one factor; these have two.
    "add": ("half_even",),
    "maximum": ("half_even",),
    "minimum": ("half_even",),
}


def check_rounding(rounding: str) -> None:
    """Check the name of a rule.

    Raises:
        ValueError: If it is none.
    """
    if rounding not in (SINGLE, *_ONE_FACTOR):
        names = ", ".join((SINGLE, *_ONE_FACTOR))
        msg = f"rounding must be one of {names}, got {rounding!r}"
        raise ValueError(msg)


def with_rounding(graph: IntGraph, rounding: str) -> IntGraph:
    """Return the graph with a rule in every node that has it; the others keep SINGLE.

    Args:
        graph: All of its nodes round by SINGLE.
        rounding: ``single``, ``half_even`` or ``double``.
    """
    nodes = [
        replace(node, attributes={**node.attributes, "rounding": rounding})
        if rounding in RULES.get(node.op, ())
        else node
        for node in graph.nodes
    ]
    return replace(graph, nodes=nodes)
