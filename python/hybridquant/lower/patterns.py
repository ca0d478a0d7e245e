"""Operators of a QuantGraph that together are one integer node."""

from __future__ import annotations

from typing import Any

from torch import fx

from hybridquant.capture.graph import args_of


def find_l2_norm(node: fx.Node) -> tuple[fx.Node, float] | None:
    """Return the norm, and epsilon, where a ``div`` is ``x / max(norm(x), epsilon)`` over one axis.

    Returns:
        The ``vector_norm`` and epsilon; None where the ``div`` is another quotient.
    """
    dividend, divisor = (_source(argument) for argument in args_of(node)[:2])
    epsilon = 0.0
    if _kind(divisor) == "clamp":
        _, lowest, highest = args_of(divisor)
        if lowest is None or lowest < 0 or highest is not None:
            return None
        divisor, epsilon = _source(args_of(divisor)[0]), float(lowest)
    if _kind(divisor) != "vector_norm" or _source(args_of(divisor)[0]) is not dividend:
        return None
    order, axes, keepdim = args_of(divisor)[1:4]
    return (divisor, epsilon) if order == 2 and len(axes) == 1 and keepdim else None


def _source(argument: Any) -> Any:
    """Return what a fake-quant node reads; anything else as it is."""
    is_call = isinstance(argument, fx.Node) and argument.op == "call_module"
    return args_of(argument)[0] if is_call else argument


def _kind(node: Any) -> str:
    return str(node.meta["kind"]) if isinstance(node, fx.Node) else ""
