"""What capture raises."""

from __future__ import annotations

from torch import fx


class CaptureError(RuntimeError):
    """The model cannot be turned into a graph; the text names the module and what to do."""


class UnsupportedOperatorError(NotImplementedError):
    """The model uses an operator that is not in the vocabulary (docs/operators.md).

    Args:
        operator: Name of the ATen operator.
        path: Path of the module that calls it, ``""`` for the root.
        reason: What about it is not supported, where it is not the operator as such.
    """

    def __init__(self, operator: str, path: str, reason: str = "") -> None:
        where = f"module {path!r}" if path else "the model's own forward"
        what = reason or "is not in the operator vocabulary (docs/operators.md)"
        super().__init__(
            f"capture: operator {operator} in {where} {what}; express it in listed operators, "
            "or replace the module by an equivalent one before capture"
        )
        self.operator = operator
        self.path = path


def unsupported(node: fx.Node, reason: str = "") -> UnsupportedOperatorError:
    """Return the error for ``node``, which has its module's path in its meta."""
    return UnsupportedOperatorError(str(node.target), node.meta["path"], reason)
