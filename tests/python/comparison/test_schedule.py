"""Processes that end badly, without the seconds that a real one takes to start."""

import time
from pathlib import Path
from typing import Any

import pytest

from hybridquant.comparison import Subject
from hybridquant.comparison.cell import Cell, Settings
from hybridquant.comparison.images import Images
from hybridquant.comparison.schedule import Result, Schedule
from hybridquant.comparison.store import CellStore
from hybridquant.recipe import load_recipe

BASE = Cell(Subject("m"), None, {"n": 0})
CELL = Cell(Subject("m"), load_recipe("baseline/w8a8-mse"), {"n": 1}, BASE)
ANSWER = (
    "import json, sys, pathlib; job = json.loads(sys.stdin.readline()); "
    "pathlib.Path(job['result']).write_text(json.dumps({'figures': {'top1': 1.0}, 'failure': %s}))"
)


def run(folder: Path, program: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Result:
    monkeypatch.setattr("hybridquant.comparison.schedule._PROGRAM", program)
    settings = Settings(Images("calib", "eval"))
    results = {BASE.key: Result({})}
    said: list[str] = []
    schedule = Schedule(CellStore(folder), settings, **options)
    schedule.run([CELL], results, lambda cell, _: said.append(cell.label), lambda _: None)
    assert said == ["m, baseline/w8a8-mse"]
    return results[CELL.key]


@pytest.mark.parametrize(
    ("program", "failure"),
    [
        ("import sys; print('first'); print('last'); sys.exit(3)", "ended with code 3: last"),
        ("import sys; sys.exit(3)", "ended with code 3: it said nothing"),
        ("pass", "ended with code 0: it said nothing"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL, as Linux does where memory runs out"),
        ("import os; os.kill(os.getpid(), 11)", "ended by SIGSEGV"),
        (ANSWER % "'a reason'", "a reason"),
    ],
)
def test_a_process_that_fails_says_why(
    program: str, failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(tmp_path, program, monkeypatch)
    assert result.failure is not None
    assert result.failure.endswith(failure)
    assert result.log is not None
    assert [path.name for path in tmp_path.iterdir()] == [result.log.name]


def test_a_process_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    result = run(tmp_path, "import time; time.sleep(60)", monkeypatch, timeout=0.5)
    assert result.failure == "took longer than 0.5 s"
    assert time.monotonic() - start < 30


def test_a_finished_cell_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(tmp_path, ANSWER % "None", monkeypatch)
    assert result.failure is None
    assert CellStore(tmp_path).load(CELL) == {"top1": 1.0}
    assert [path.name for path in tmp_path.iterdir()] == [f"{CELL.key}.json"]


def test_figures_that_were_found_before_a_failure_are_in_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, ANSWER % "'late'", monkeypatch).figures == {"top1": 1.0}
    assert CellStore(tmp_path).load(CELL) is None


def test_a_damaged_or_foreign_cell_is_not_finished(tmp_path: Path) -> None:
    store = CellStore(tmp_path)
    assert store.load(CELL) is None
    store.save(CELL, {"top1": 0.5})
    assert store.load(CELL) == {"top1": 0.5}
    file = tmp_path / f"{CELL.key}.json"
    whole = file.read_text(encoding="utf-8")
    for text in (whole[:-20], "[]", whole.replace('"n": 1', '"n": 2')):
        file.write_text(text, encoding="utf-8")
        assert store.load(CELL) is None


def test_a_float_cell_without_its_logits_is_not_finished(tmp_path: Path) -> None:
    store = CellStore(tmp_path)
    store.save(BASE, {"top1": 0.5})
    assert store.load(BASE) is None
    store.logits_file(BASE).touch()
    assert store.load(BASE) == {"top1": 0.5}
