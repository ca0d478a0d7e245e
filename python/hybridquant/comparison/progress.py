"""What is said while cells run: a line a cell, and how long the rest will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from statistics import fmean

from hybridquant.comparison.cell import FLOAT, Cell
from hybridquant.comparison.schedule import Result

_MINUTE, _HOUR = 60, 3600


class Estimate:
    """How long the cells that are left will take, going by those that this run finished.

    Args:
        recipes: The recipe of each cell that this run has to do, ``float32`` included.
        jobs: How many run at a time.

    Example:
        >>> estimate = Estimate(["float32", "a", "b", "a", "b"], jobs=1)
        >>> estimate.finish("float32", 2.0)
        >>> estimate.left() is None
        True
        >>> estimate.finish("a", 10.0)
        >>> estimate.left()  # b, which was not run yet, is taken for an a
        30.0
        >>> estimate.finish("b", 30.0)
        >>> estimate.left()
        40.0
    """

    def __init__(self, recipes: Sequence[str], jobs: int) -> None:
        self._left = list(recipes)
        self._jobs = jobs
        self._seconds: dict[str, list[float]] = {}

    def finish(self, recipe: str, seconds: float | None) -> None:
        """Note a cell that ended, after ``seconds``; None where it was not run at all."""
        self._left.remove(recipe)
        if seconds is not None:
            self._seconds.setdefault(recipe, []).append(seconds)

    def left(self) -> float | None:
        """Return the seconds that are left; None as long as there is nothing to go by."""
        means = {recipe: fmean(times) for recipe, times in self._seconds.items()}
        others = [mean for recipe, mean in means.items() if recipe != FLOAT]
        guess = fmean(others) if others else None
        guesses = [means.get(recipe, guess) for recipe in self._left]
        known = [seconds for seconds in guesses if seconds is not None]
        return None if len(known) < len(guesses) else sum(known) / self._jobs


class Progress:
    """Writes a line a cell to standard error, and on a terminal which cells run.

    Args:
        cells: What this run has to do.
        jobs: How many run at a time.
        is_silent: Whether to write nothing.
    """

    def __init__(self, cells: Sequence[Cell], jobs: int, *, is_silent: bool = False) -> None:
        self._estimate = Estimate([cell.recipe_name for cell in cells], jobs)
        self._total, self._done = len(cells), 0
        self._is_silent = is_silent or sys.stderr is None
        self._is_terminal = not self._is_silent and sys.stderr.isatty()
        self._shown_at = time.monotonic()

    def say(self, line: str) -> None:
        """Write a line."""
        if not self._is_silent:
            sys.stderr.write(f"{self._erase()}{line}\n")
            sys.stderr.flush()

    def report(self, cell: Cell, result: Result) -> None:
        """Write the line of a cell that ended."""
        self._done += 1
        self._estimate.finish(cell.recipe_name, result.seconds)
        count = f"[{self._done:{len(str(self._total))}}/{self._total}]"
        left = self._estimate.left()
        rest = f"; about {duration(left)} left" if left and self._done < self._total else ""
        self.say(f"{count} {cell.label}: {_result(result)}{rest}")

    def wait(self, running: Sequence[tuple[Cell, float]]) -> None:
        """Show on a terminal, once a second, what runs."""
        now = time.monotonic()
        if self._is_terminal and running and now - self._shown_at >= 1:
            self._shown_at = now
            cell, seconds = running[0]
            more = f" and {len(running) - 1} more" if len(running) > 1 else ""
            sys.stderr.write(f"{self._erase()}running {cell.label}{more} ({duration(seconds)})")
            sys.stderr.flush()

    def _erase(self) -> str:
        return "\r\x1b[K" if self._is_terminal else ""


def duration(seconds: float) -> str:
    """Return a time for a person.

    Example:
        >>> duration(4.6), duration(150), duration(7300)
        ('5 s', '2 min 30 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def _result(result: Result) -> str:
    if result.failure is not None:
        where = f" (see {result.log})" if result.log is not None else ""
        return f"failed: {result.failure}{where}"
    figures = result.figures
    name = "top-1" if figures["top1"] is not None else "agreement"
    share = figures["top1"] if figures["top1"] is not None else figures.get("agreement")
    took = "" if result.seconds is None else duration(result.seconds)
    return took if share is None else f"{name} {100 * share:.2f} %, {took}"
