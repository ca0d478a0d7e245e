"""The errors of lowering."""

from __future__ import annotations

from collections.abc import Sequence


class CannotLowerError(Exception):
    """Raised by the lowering of one operator; the text says why and what to do."""


class LoweringError(NotImplementedError):
    """Some operators of a QuantGraph cannot become integer nodes.

    Args:
        problems: One line each: operator, module path, reason, remedy.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        count = len(problems)
        what = "1 operator" if count == 1 else f"{count} operators"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"lower: every operator must become integer, got {what} that cannot:\n{lines}"
        )
        self.problems = tuple(problems)
