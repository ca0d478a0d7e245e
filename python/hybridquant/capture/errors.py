"""What capture raises."""

from __future__ import annotations

from torch import fx


class CaptureError(RuntimeError):
    """The model cannot be turned into a graph; the text names the module and what to do."""


class UnsupportedOperatorError(NotImplementedError):
    """The model uses an operator that is not in the vocabulary (docs/operators.md).

    Args:
        operator: Name of the ATen operator.
        path: Path of the module that calls it, ``""`` for the root, None where it is not known.
        reason: What about it is not supported, where it is not the operator as such; a remedy of
            its own may follow a semicolon.
    """

    def __init__(self, operator: str, path: str | None, reason: str = "") -> None:
        where = f" in module {path!r}" if path else " in the model's own forward"
        where = "" if path is None else where
        what = reason or "is not in the operator vocabulary (docs/operators.md)"
        remedy = (
            "express it in listed operators, or replace the module by an equivalent one before "
            "capture"
        )
        what = what if ";" in what else f"{what}; {remedy}"
        super().__init__(f"capture: operator {operator}{where} {what}")
        self.operator = operator
        self.path = path


def unsupported(node: fx.Node, reason: str = "") -> UnsupportedOperatorError:
    """Return the error for ``node``, which has its module's path in its meta."""
    return UnsupportedOperatorError(str(node.target), node.meta["path"], reason)
