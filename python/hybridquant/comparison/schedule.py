"""Runs cells, each in a process of its own, a few at a time."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hybridquant.comparison.cell import Cell, Settings
from hybridquant.comparison.store import CellStore, Figures
from hybridquant.comparison.worker import Job
from hybridquant.recipe import recipe_to_yaml

# sys.path is set first: modules are found where this process finds them, and nowhere else.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; from hybridquant.comparison.worker import main; main()"
)
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Result:
    """How a cell ended.

    Args:
        figures: Its figures, as far as it came.
        failure: Why it failed; None where it did not.
        seconds: How long its process ran; None where an earlier one had finished it.
        log: What a failed process said.
    """

    figures: Figures
    failure: str | None = None
    seconds: float | None = None
    log: Path | None = None


@dataclass
class Schedule:
    """Runs what is not finished yet.

    Args:
        store: Of finished cells.
        settings: How cells are computed.
        jobs: How many processes run at a time.
        timeout: Seconds after which a process is stopped; None for never.
    """

    store: CellStore
    settings: Settings
    jobs: int = 1
    timeout: float | None = None

    def run(
        self,
        cells: Sequence[Cell],
        results: dict[str, Result],
        report: Callable[[Cell, Result], None],
        wait: Callable[[Sequence[tuple[Cell, float]]], None],
    ) -> None:
        """Run ``cells``, which hold each key once, and put how they ended into ``results``.

        Args:
            cells: What to run, float32 cells before those that need them.
            results: Key to result; holds the float32 cells that are finished already.
            report: Told of each cell that ended.
            wait: Told, again and again, which cells run, and for how many seconds each.
        """
        waiting, running = list(cells), list[_Process]()
        try:
            while waiting or running:
                while len(running) < self.jobs and (cell := self._ready(waiting, results)):
                    waiting.remove(cell)
                    running.append(_Process(cell, self))
                now = [(process, process.poll()) for process in running]
                for process, result in now:
                    if result is not None:
                        running.remove(process)
                        results[process.cell.key] = result
                        report(process.cell, result)
                for cell in [cell for cell in waiting if _is_hopeless(cell, results)]:
                    waiting.remove(cell)
                    failure = f"the float32 cell of {cell.subject.label} failed"
                    results[cell.key] = Result({}, failure)
                    report(cell, results[cell.key])
                wait([(process.cell, process.seconds) for process in running])
                time.sleep(_POLL_SECONDS)
        finally:
            for process in running:
                process.stop()

    def _ready(self, waiting: Sequence[Cell], results: dict[str, Result]) -> Cell | None:
        """Return the first cell whose float32 cell is there."""
        for cell in waiting:
            needed = cell.baseline
            if needed is None:
                return cell
            found = results.get(needed.key)
            if found is not None and found.failure is None:
                return cell
        return None


def _is_hopeless(cell: Cell, results: dict[str, Result]) -> bool:
    needed = None if cell.baseline is None else results.get(cell.baseline.key)
    return needed is not None and needed.failure is not None


class _Process:
    """A cell that runs."""

    def __init__(self, cell: Cell, schedule: Schedule) -> None:
        self.cell, self._schedule = cell, schedule
        self._start = time.monotonic()
        self._log = schedule.store.log_file(cell)
        self._result = Path(tempfile.mkdtemp(prefix=f".{cell.key}.", dir=self._log.parent)) / "r"
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *map(str, sys.path)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the one that keeps the table
            )
        assert self._popen.stdin is not None
        with suppress(BrokenPipeError):  # it is gone already: poll() says why
            self._popen.stdin.write(f"{json.dumps(asdict(self._job()))}\n".encode())
            self._popen.stdin.flush()

    @property
    def seconds(self) -> float:
        """How long it runs."""
        return time.monotonic() - self._start

    def poll(self) -> Result | None:
        """Return how it ended; None as long as it runs."""
        code = self._popen.poll()
        timeout = self._schedule.timeout
        is_late = code is None and timeout is not None and self.seconds > timeout
        if code is None and not is_late:
            return None
        result = self._outcome(code)
        if is_late:
            result = replace(result, failure=f"took longer than {timeout:g} s")
        self.stop()
        if result.failure is None:
            self._schedule.store.save(self.cell, result.figures)
            self._log.unlink()
            return replace(result, seconds=self.seconds)
        return replace(result, seconds=self.seconds, log=self._log)

    def stop(self) -> None:
        """End it, if it runs, and remove what it left."""
        self._popen.kill()
        self._popen.wait()
        with suppress(BrokenPipeError):
            if self._popen.stdin is not None:
                self._popen.stdin.close()
        shutil.rmtree(self._result.parent, ignore_errors=True)

    def _outcome(self, code: int | None) -> Result:
        if not self._result.is_file():
            return Result({}, _end(code, self._log))
        found: dict[str, Any] = json.loads(self._result.read_text(encoding="utf-8"))
        return Result(found["figures"], found["failure"])

    def _job(self) -> Job:
        settings, recipe = self._schedule.settings, self.cell.recipe
        return Job(
            subject=self.cell.subject.plain(),
            images=settings.images.plain(),
            recipe=None if recipe is None else recipe_to_yaml(recipe),
            seed=settings.images.seed,
            batch_size=settings.batch_size,
            is_integer=settings.is_integer,
            threads=settings.threads,
            logits=str(self._schedule.store.logits_file(self.cell.baseline or self.cell)),
            result=str(self._result),
        )


def _end(code: int | None, log: Path) -> str:
    """Return how a process ended that left no result."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = ", as Linux does where memory runs out" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return f"its process ended with code {code}: {last}"
