"""Comparisons of tiny models, from the plan to the files."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hybridquant import compare
from hybridquant.comparison import CELLS, FILES, UNSTEADY, Comparison, Row

TINY = "tiny_models:tiny"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def run(inputs: Path, out: Path, *models: str, **options: Any) -> Comparison:
    recipes = ["integer/w8a8", inputs / "w2a2.yaml"]
    options = {"recipes": recipes, "threads": 1, "silent": True, **options}
    options = {"calib": inputs / "calib.npz", "eval": inputs / "eval.npz", **options}
    return compare(list(models), out=out, **options)


def by_name(found: Comparison) -> dict[tuple[str, str], Row]:
    return {(row.model, row.recipe): row for row in found.rows}


def steady(found: Comparison) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in UNSTEADY} for row in found.plain()["rows"]]


def forbid_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        message = "a process was started"
        raise AssertionError(message)

    monkeypatch.setattr("hybridquant.comparison.schedule.subprocess.Popen", refuse)


@pytest.mark.slow
def test_a_table_and_how_it_goes_on(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "an out"
    found = run(inputs, out, TINY, stress=[1, 64], jobs=2)
    rows = by_name(found)
    assert list(rows) == [
        (model, recipe)
        for model in (TINY, f"{TINY}+x64")
        for recipe in ("float32", "integer/w8a8", "w2a2")
    ]
    assert found.failures == 0
    original, eight, two = (rows[TINY, name] for name in ("float32", "integer/w8a8", "w2a2"))
    stressed = rows[f"{TINY}+x64", "integer/w8a8"]
    assert original.top1 == rows[f"{TINY}+x64", "float32"].top1  # outliers change nothing in float
    assert eight.sqnr_db is not None
    assert two.sqnr_db is not None
    assert stressed.sqnr_db is not None
    assert eight.sqnr_db > stressed.sqnr_db  # but they do in 8 bits
    assert eight.sqnr_db > two.sqnr_db + 10
    assert {eight.standing, two.standing} == {"best", "level"}
    assert original.bytes is not None
    assert two.bytes is not None
    assert eight.bytes is not None
    assert two.bytes < eight.bytes < original.bytes
    assert (eight.integer, eight.integer_problem) == ("all", "")
    assert eight.integer_top1 is not None
    assert eight.integer_bytes is not None
    assert two.integer == "3 of 5 operators"
    assert "no fake-quant module" in two.integer_problem
    assert (two.integer_top1, two.integer_bytes) == (None, None)
    assert all(row.peak_mib and row.peak_mib > 50 for row in found.rows)

    files = {name: (out / name).read_bytes() for name in FILES}
    assert json.loads(files["compare.json"]) == json.loads(json.dumps(found.plain()))
    table = list(csv.DictReader(files["compare.csv"].decode().splitlines()))
    assert [row["recipe"] for row in table] == 2 * ["float32", "integer/w8a8", "w2a2"]
    assert float(table[1]["sqnr_db"]) == eight.sqnr_db
    assert not list((out / CELLS).glob("*.log"))

    # Again: nothing is run, and the files are the same to the byte.
    forbid_processes(monkeypatch)
    run(inputs, out, TINY, stress=[1, 64])
    assert {name: (out / name).read_bytes() for name in FILES} == files
    # A part of it is there already, too.
    assert by_name(run(inputs, out, f"{TINY}+x64", recipes=[inputs / "w2a2.yaml"])) == {
        key: Row(
            **{**vars(row), "standing": "best", "p_best": 1.0} if key[1] == "w2a2" else vars(row)
        )
        for key, row in rows.items()
        if key[0] != TINY and key[1] != "integer/w8a8"
    }
    with pytest.raises(AssertionError, match="a process was started"):
        run(inputs, out, TINY, rerun=True)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table_elsewhere(inputs: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"recipes": ["integer/w8a8"], "images": 5, "eval_images": 10}
    first = run(inputs, tmp_path / "a", TINY, seed=3, **options)
    second = run(inputs, tmp_path / "b", TINY, seed=3, jobs=2, **options)
    assert steady(first) == steady(second)
    assert first.job["calib_images"] == 5


@pytest.mark.slow
def test_cells_that_fail_leave_the_others(inputs: Path, tmp_path: Path) -> None:
    models = ("tiny_models:killed", "tiny_models:sorting", TINY)
    found = run(inputs, tmp_path / "out", *models, recipes=["integer/w8a8"], jobs=2)
    rows = by_name(found)
    failures = {key: row.failure for key, row in rows.items() if row.failure}
    assert found.failures == len(failures) == 3
    killed = "its process was ended by SIGKILL, as Linux does where memory runs out"
    assert failures["tiny_models:killed", "float32"] == killed
    assert (
        failures["tiny_models:killed", "integer/w8a8"]
        == "the float32 cell of tiny_models:killed failed"
    )
    assert "sort" in failures["tiny_models:sorting", "integer/w8a8"]
    assert rows["tiny_models:sorting", "float32"].top1 is not None
    assert rows[TINY, "integer/w8a8"].top1 is not None
    assert "SIGKILL" in (tmp_path / "out" / "compare.md").read_text(encoding="utf-8")
    assert "SIGKILL" in (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")
    logs = list((tmp_path / "out" / CELLS).glob("*.log"))
    assert len(logs) == 2
    assert any("Traceback" in log.read_text(encoding="utf-8") for log in logs)
    assert not [path for path in (tmp_path / "out" / CELLS).iterdir() if path.name[0] == "."]


@pytest.mark.slow
def test_without_labels_there_is_no_accuracy(inputs: Path, tmp_path: Path) -> None:
    from PIL import Image

    folder = inputs / "flat"
    folder.mkdir()
    for index in range(3):
        Image.effect_noise((32, 32), 60 + index).convert("RGB").save(folder / f"{index}.png")
    options: dict[str, Any] = {"recipes": [inputs / "w8a8.yaml"], "integer": False}
    found = run(inputs, tmp_path / "out", TINY, eval=folder, **options)
    row = found.rows[1]
    assert (row.top1, row.p_float, row.p_best, row.standing) == (None, None, None, "")
    assert row.agreement is not None
    assert row.integer_problem == ""
    page = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")
    assert "agreement with float32, %" in page
    assert "3 unlabelled images" in found.markdown


def test_what_cannot_be_used_is_said_before_any_work(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_processes(monkeypatch)
    for options, text in (
        ({"recipes": ["baseline/w8a8-ms"]}, "w8a8-mse"),
        ({"recipes": ["nothing/*"]}, "unknown recipe 'nothing/\\*'"),
        ({"recipes": []}, "recipes must name at least one"),
        ({"eval": inputs / "no.npz"}, "no.npz"),
        ({"images": 99}, "99"),
        ({"stress": [0.5]}, "stress must be 1 to 1024, got 0.5"),
        ({"jobs": 0}, "jobs must be at least 1, got 0"),
        ({"timeout": 0}, "timeout must be above 0"),
    ):
        with pytest.raises((ValueError, OSError), match=text):
            run(inputs, tmp_path / "out", TINY, **options)
    with pytest.raises(ValueError, match="no_such_net"):
        run(inputs, tmp_path / "out", "no_such_net")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from hybridquant.comparison import progress\n"
        "from hybridquant.cli import main\n"
        "report = progress.Progress.report\n"
        "def interrupt(self, cell, result):\n"
        "    report(self, cell, result)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "progress.Progress.report = interrupt\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    argv = ["compare", TINY, "--recipes", str(inputs / "w8a8.yaml"), "--out", str(out)]
    argv += ["--calib", str(inputs / "calib.npz"), "--eval", str(inputs / "eval.npz")]
    stopped = subprocess.run(
        [sys.executable, "-c", program, *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert stopped.returncode == 130
    first, last = stopped.stderr.splitlines()
    assert first.startswith(f"[1/2] {TINY}, float32: top-1 ")
    assert last == (
        "hybridquant: error: interrupted; 1 of 2 cells are finished and stay; "
        "the same command goes on from there"
    )
    assert len(list((out / CELLS).glob("*.json"))) == 1
    assert not (out / "compare.md").exists()
