"""What ``hybridquant compare`` makes of its arguments, and of what it finds."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from hybridquant.cli import main
from hybridquant.comparison import Comparison, Row

ARGV = ["compare", "default+x4", "own:make", "--recipes", "a", "b*", "--calib", "c", "--eval", "e"]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Return a function that sets how the only cell ended, and returns what is asked for then."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # to which a factory's folder is added

    def set_failure(failure: str) -> dict[str, Any]:
        asked: dict[str, Any] = {}

        def compare(*args: object, **options: object) -> Comparison:
            asked.update(args=args, **options)
            row = Row(**{field.name: None for field in fields(Row)} | {"failure": failure})
            return Comparison((row,), {"seed": 0}, "| the table |")

        monkeypatch.setattr("hybridquant.cli.compare.compare", compare)
        return asked

    return set_failure


def test_arguments_are_handed_on(
    found: Callable[[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = found("")
    more = ["--stress", "1", "2.5", "--stress-seed", "7", "--seed", "3", "--jobs", "2", "--rerun"]
    more += ["--images", "8", "--eval-images", "9", "--batch-size", "4", "--threads", "1"]
    assert main([*ARGV, *more, "--out", "o", "--no-integer", "--timeout", "60"]) == 0
    out = Path("o")
    paths = (Path("c"), Path("e"), out)
    assert asked == {
        "args": (["default+x4", "own:make"], ["a", "b*"], *paths),
        **{"images": 8, "eval_images": 9, "seed": 3, "batch_size": 4, "integer": False},
        **{"stress": [1.0, 2.5], "stress_seed": 7, "checkpoint": None, "pretrained": False},
        **{"threads": 1, "jobs": 2, "timeout": 60.0, "rerun": True},
    }
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "| the table |"
    assert printed[-1].split() == [str(out / "compare.html")]


def test_a_failed_cell_is_an_exit_code_and_the_table_is_printed_all_the_same(
    found: Callable[[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    found("out of memory")
    sentence = "hybridquant: error: compare: every cell must be computed, got 1 of 1 that failed\n"
    assert main([*ARGV, "--out", "o"]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("| the table |")
    assert printed.err == sentence
    assert main([*ARGV, "--out", "o", "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rows"][0]["failure"] == "out of memory"
    assert printed.err == sentence
