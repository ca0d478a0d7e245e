"""The comparison itself: plan, run what is not finished, write the table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hybridquant.comparison.cell import Cell, Settings, plan
from hybridquant.comparison.document import to_html
from hybridquant.comparison.fingerprint import code_sha256
from hybridquant.comparison.images import Images
from hybridquant.comparison.progress import Progress
from hybridquant.comparison.recipes import choose_recipes
from hybridquant.comparison.row import Row, make_rows
from hybridquant.comparison.schedule import Result, Schedule
from hybridquant.comparison.store import CellStore
from hybridquant.comparison.subject import parse_subjects
from hybridquant.comparison.table import notes, to_csv, to_markdown
from hybridquant.export import ArtifactFolder
from hybridquant.recipe import Recipe, recipe_to_yaml
from hybridquant.report import versions, wilson_interval

FILES = ("compare.md", "compare.csv", "compare.json", "compare.html")
CELLS = "cells"
# As for `hybridquant quantize`: by chance once in 16,000 times.
_ALARM_SIGMAS = 4.0


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found.

    Args:
        rows: A row a model and recipe, the float32 row of a model before the others.
        job: What the rows were measured on and with, as plain data.
        markdown: The table with its notes, as in ``compare.md``.
    """

    rows: tuple[Row, ...]
    job: Mapping[str, Any]
    markdown: str

    @property
    def failures(self) -> int:
        """Number of cells that failed."""
        return sum(bool(row.failure) for row in self.rows)

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, as in ``compare.json``."""
        return {"job": dict(self.job), "rows": [asdict(row) for row in self.rows]}


def compare(
    models: Sequence[str],
    recipes: Sequence[str | Path | Recipe],
    calib: str | Path,
    eval: str | Path,
    out: str | Path,
    *,
    images: int | None = None,
    eval_images: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    integer: bool = True,
    stress: Sequence[float] = (),
    stress_seed: int = 0,
    checkpoint: str | Path | None = None,
    pretrained: bool = False,
    threads: int | None = None,
    jobs: int = 1,
    timeout: float | None = None,
    rerun: bool = False,
    silent: bool = False,
) -> Comparison:
    """Return every recipe on every model in one table, which is written to a folder too.

    Each cell, a recipe on a model, is computed in a process of its own: one that fails, or that
    the system ends, leaves its reason in the table and the others go on. A finished cell lies in
    ``out/cells`` under the hash of what it depends on (weights, outliers, recipe, images, seed,
    batch size, versions) and is never computed again. Files in ``out``: ``compare.md``,
    ``compare.csv``, ``compare.json`` and ``compare.html``, the last with plots.

    Args:
        models: What ``load_model`` takes, ``default``, or ``NAME=WEIGHTS`` with a file; with
            ``+xRATIO`` at its end, the model with outliers that ``inject_outliers`` makes.
        recipes: Names, names with ``*`` for all that match, YAML files, or recipes.
        calib: Images to calibrate on, as ``load_data`` takes them.
        eval: Images to measure on; without labels there is no top-1.
        out: Folder to write to; made when missing.
        images: How many calibration images are drawn; None for all.
        eval_images: How many of the others are drawn; None for all.
        seed: Of the draws, of weights that are random, and of what passes draw.
        batch_size: Images a batch.
        integer: Whether to make integer models and to measure them.
        stress: Ratios of outliers, 1 to 1024, that each model without one is wanted with.
        stress_seed: Of the draw of channels that get outliers.
        checkpoint: Weights, where there is one model.
        pretrained: Whether to download timm's or torchvision's weights.
        threads: Threads of torch in each process; by default its own choice where ``jobs`` is 1,
            else the processors shared out.
        jobs: Processes at a time.
        timeout: Seconds after which a cell is stopped; None for never.
        rerun: Whether to compute finished cells again.
        silent: Whether to keep progress to itself; else it goes to standard error.

    Raises:
        ImportError, OSError, TypeError, ValueError: If a recipe, a model, data or ``out`` cannot be
            used, before any work is done.
        KeyboardInterrupt: On Ctrl-C; finished cells stay.
    """
    _check(jobs, timeout, batch_size)
    chosen = choose_recipes(recipes)
    subjects = parse_subjects(
        models,
        checkpoint=checkpoint,
        pretrained=pretrained,
        stress=stress,
        stress_seed=stress_seed,
    )
    data = Images(str(calib), str(eval), images, eval_images, seed)
    settings = Settings(data, batch_size, integer, _threads(threads, jobs))
    with ArtifactFolder(out, FILES) as folder:
        cells = list(plan(subjects, chosen, settings))
        schedule = Schedule(CellStore(Path(out) / CELLS), settings, jobs, timeout)
        results = _run(schedule, cells, rerun, silent)
        return _write(folder, cells, results, _job(cells, results, data, chosen))


def _check(jobs: int, timeout: float | None, batch_size: int) -> None:
    for name, value in (("jobs", jobs), ("batch_size", batch_size)):
        if value < 1:
            msg = f"compare: {name} must be at least 1, got {value}"
            raise ValueError(msg)
    if timeout is not None and not timeout > 0:
        msg = f"compare: timeout must be above 0 seconds, got {timeout:g}"
        raise ValueError(msg)


def _threads(threads: int | None, jobs: int) -> int | None:
    if threads is not None or jobs == 1:
        return threads
    return max(1, (os.cpu_count() or 1) // jobs)


def _run(
    schedule: Schedule, cells: Sequence[Cell], is_rerun: bool, is_silent: bool
) -> dict[str, Result]:
    """Return the results of all cells, of which only those that are missing are run."""
    unique = {cell.key: cell for cell in cells}
    stored = {} if is_rerun else {key: schedule.store.load(cell) for key, cell in unique.items()}
    results = {key: Result(figures) for key, figures in stored.items() if figures is not None}
    missing = [cell for key, cell in unique.items() if key not in results]
    progress = Progress(missing, schedule.jobs, is_silent=is_silent)
    if results:
        progress.say(f"{len(results)} of {len(unique)} cells are finished already")
    try:
        schedule.run(missing, results, progress.report, progress.wait)
    except KeyboardInterrupt:
        done = sum(results[cell.key].failure is None for cell in missing if cell.key in results)
        msg = (
            f"interrupted; {done + len(unique) - len(missing)} of {len(unique)} cells are finished "
            "and stay; the same command goes on from there"
        )
        raise KeyboardInterrupt(msg) from None
    return results


def _job(
    cells: Sequence[Cell],
    results: Mapping[str, Result],
    images: Images,
    recipes: Sequence[Recipe],
) -> dict[str, Any]:
    """Return what the rows were measured on and with."""
    threads = {result.figures.get("threads", 0) for result in results.values()} - {0}
    inputs = {**cells[1].inputs}
    same = ("calib_images", "calib_sha256", "eval_images", "eval_sha256", "is_labelled")
    return {
        "calib": images.calib,
        "eval": images.eval,
        **{name: inputs[name] for name in (*same, "seed", "batch_size", "is_integer")},
        "stress_seed": max(cell.subject.stress_seed for cell in cells),
        "threads": " or ".join(map(str, sorted(threads))) or "no",
        "versions": versions(),
        "recipes": {recipe.name: recipe_to_yaml(recipe) for recipe in recipes},
        "warnings": [*_model_warnings(cells, results), *_code_warnings(results)],
    }


def _model_warnings(cells: Sequence[Cell], results: Mapping[str, Result]) -> list[str]:
    found: dict[str, None] = {}
    for cell in cells:
        figures = results[cell.key].figures
        if cell.baseline is None and figures.get("is_random"):
            found[f"The weights of {cell.subject.base} are random."] = None
        claimed, top1 = figures.get("card_top1"), figures.get("top1")
        if claimed is not None and top1 is not None:
            count = figures["images"]
            low, high = wilson_interval(round(top1 * count), count, _ALARM_SIGMAS)
            if not low <= claimed <= high:
                found[
                    f"WARNING: top-1 of {cell.subject.label} in float32 is far from its card's "
                    f"{100 * claimed:.2f} %; check images and transform."
                ] = None
    return list(found)


def _code_warnings(results: Mapping[str, Result]) -> list[str]:
    found = [result.figures.get("code_sha256") for result in results.values() if result.figures]
    now = code_sha256()
    others = sum(code != now for code in found)
    if not others:
        return []
    return [
        f"{others} of {len(found)} cells were computed by another state of this version of "
        "hybridquant; --rerun computes them again."
    ]


def _write(
    folder: ArtifactFolder,
    cells: Sequence[Cell],
    results: Mapping[str, Result],
    job: Mapping[str, Any],
) -> Comparison:
    rows = make_rows(cells, results)
    said = notes(rows, job)
    found = Comparison(tuple(rows), job, to_markdown(rows, said))
    folder.write_text("compare.md", f"{found.markdown}\n")
    folder.write_text("compare.csv", to_csv(rows))
    folder.write_json("compare.json", found.plain())
    folder.write_text("compare.html", to_html(rows, said, job))
    return found
