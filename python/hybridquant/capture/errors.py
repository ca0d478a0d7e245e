"""What capture raises."""

from __future__ import annotations

from collections.abc import Sequence

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
        others: Operator and path of each further operator that is not in the vocabulary.
    """

    def __init__(
        self,
        operator: str,
        path: str | None,
        reason: str = "",
        others: Sequence[tuple[str, str]] = (),
    ) -> None:
        where = "" if path is None else _where(path)
        what = reason or "is not in the operator vocabulary (docs/operators.md)"
        remedy = (
            "express it in listed operators, or replace the module by an equivalent one before "
            "capture"
        )
        what = what if ";" in what else f"{what}; {remedy}"
        lines = "".join(f"\n  the same for {other}{_where(path)}" for other, path in others)
        super().__init__(f"capture: operator {operator}{where} {what}{lines}")
        self.operator = operator
        self.path = path


def _where(path: str) -> str:
    return f" in module {path!r}" if path else " in the model's own forward"


def unsupported(node: fx.Node, reason: str = "") -> UnsupportedOperatorError:
    """Return the error for ``node``, which has its module's path in its meta."""
    return UnsupportedOperatorError(str(node.target), node.meta["path"], reason)
