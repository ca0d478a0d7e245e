"""``hybridquant analyze``: where a recipe hurts a model, and a recipe that hurts it less."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hybridquant.analysis import (
    METRICS,
    Analysis,
    Chosen,
    Fallback,
    analysis_csv,
    analysis_data,
    analysis_page,
    analyze,
    fallback_data,
    fallback_table,
    raises_data,
    worst_table,
)
from hybridquant.cli import COMMANDS, CheckFailedError, Say
from hybridquant.cli.arguments import add_model, add_run, path, positive_int, set_threads
from hybridquant.cli.fallback import add_max_drop, evaluation_data, missed, probe_data, search
from hybridquant.cli.subject import load_subject
from hybridquant.data import ImageData, load_data
from hybridquant.export import ArtifactFolder
from hybridquant.models import LoadedModel
from hybridquant.pipeline import quantize
from hybridquant.recipe import Recipe, load_recipe, recipe_to_yaml
from hybridquant.report import Predictions, fidelity, format_table, predict, versions

PAGE_FILE, JSON_FILE, CSV_FILE = "analysis.html", "analysis.json", "analysis.csv"
RECIPE_FILE = "recipe.yaml"
FILES = (PAGE_FILE, JSON_FILE, CSV_FILE, RECIPE_FILE)
_KEPT = 5
_SHOWN = 10
_FIGURES = ("recipe", "top-1 %", "agreement %", "SQNR dB", "KL")


@COMMANDS.register("analyze")
class AnalyzeCommand:
    """Measure how much each operator's quantization hurts, and write a recipe that mends it."""

    help = "find the operators that a recipe hurts most, and keep them at higher precision"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare MODEL, the recipe, the data, what to keep and the output folder."""
        add_model(parser)
        parser.add_argument(
            "--recipe",
            required=True,
            metavar="R",
            help="a name from `hybridquant list recipes` or a YAML file",
        )
        parser.add_argument(
            "--calib", required=True, type=path, metavar="DATA", help="calibration images"
        )
        parser.add_argument(
            "--eval", type=path, metavar="DATA", help="test images; default the calibration images"
        )
        parser.add_argument("--out", required=True, type=path, metavar="DIR", help="output folder")
        parser.add_argument(
            "--images", type=positive_int, metavar="N", help="calibration images; default all"
        )
        parser.add_argument(
            "--metric",
            choices=list(METRICS),
            default="kl",
            help="what the operators are ranked by; default %(default)s",
        )
        parser.add_argument(
            "--keep",
            type=positive_int,
            metavar="N",
            help=f"operators to keep at higher precision; default {_KEPT}",
        )
        parser.add_argument(
            "--keep-bits",
            type=int,
            choices=[8, 16],
            help="bits of their inputs where they have fewer; default 16; weights get 8",
        )
        add_max_drop(parser)
        add_run(parser)

    def run(self, args: argparse.Namespace, say: Say) -> tuple[str, Any]:
        """Return the table of the worst operators and the content of analysis.json.

        Raises:
            CheckFailedError: If --max-drop is not kept with everything raised; the files are
                written all the same.
        """
        _check(args)
        recipe = load_recipe(args.recipe)
        set_threads(args.threads)
        torch.manual_seed(args.seed)
        with ArtifactFolder(args.out, FILES) as out:
            model = load_subject(args)
            data = _Data(args, model)
            analysis = analyze(
                model.module, data.calib, recipe, probe=data.probe, batch_size=args.batch_size
            )
            say(worst_table(analysis, args.metric, args.keep or _SHOWN))
            chosen = _chosen(args, model, analysis, data, say)
            facts = _facts(args, model, analysis, data)
            result = _result(args, analysis, chosen, data, facts)
            text = analysis_page(analysis, args.metric, chosen, model.name, _sentences(facts))
            out.write_text(PAGE_FILE, text)
            out.write_text(CSV_FILE, analysis_csv(analysis, args.metric))
            out.write_text(RECIPE_FILE, recipe_to_yaml(chosen.recipe))
            out.write_json(JSON_FILE, result)
        text = _text(args, chosen, facts)
        if chosen.fallback is not None and not chosen.fallback.is_reached:
            raise CheckFailedError(missed("analyze", chosen.fallback), text, result)
        return text, result


class _Data:
    """The images of an analysis.

    Args:
        args: The command's arguments.
        model: The model.
    """

    def __init__(self, args: argparse.Namespace, model: LoadedModel) -> None:
        config = model.data_config
        self.calib = load_data(args.calib, config, num_images=args.images, seed=args.seed)
        self.probe = probe_data(args, model, self.calib)
        self.test = evaluation_data(args.eval, model) if args.eval else None

    @property
    def shown(self) -> ImageData:
        """What figures are measured on."""
        return self.test or self.calib

    @property
    def description(self) -> str:
        """What figures are measured on, for people."""
        if self.test is None:
            return f"Measured on the {self.calib.num_images} calibration images (no --eval)."
        labels = "" if self.test.has_labels else " without labels"
        return f"Measured on {self.test.num_images} evaluation images{labels}."


def _check(args: argparse.Namespace) -> None:
    for option, value in (("--keep", args.keep), ("--keep-bits", args.keep_bits)):
        if args.max_drop is not None and value is not None:
            msg = f"{option} must not be given with --max-drop, which chooses itself, got {value}"
            raise ValueError(msg)


def _chosen(
    args: argparse.Namespace, model: LoadedModel, analysis: Analysis, data: _Data, say: Say
) -> Chosen:
    """Return the recipe that keeps the worst operators, or the one that keeps the drop."""
    figures = _Figures(model, data, args.batch_size)
    figures.add(analysis.recipe.name, analysis.graph)
    fallback: Fallback | None = None
    if args.max_drop is not None:
        fallback = search(args, model, data.calib, analysis, data.test, args.metric, say)
        recipe, graph = fallback.recipe, fallback.graph
        raises = fallback.taken
    else:
        count, bits = args.keep or _KEPT, args.keep_bits or 16
        recipe = analysis.recipe_that_keeps(count, bits, args.metric)
        raises = analysis.kept(count, bits, args.metric)
        say(f"quantizing again with {len(raises)} raises")
        graph = quantize(model.module, data.calib, recipe, batch_size=args.batch_size)
    if raises:
        figures.add(recipe.name, graph)
    table = (_FIGURES, figures.rows)
    return Chosen(recipe, raises, RECIPE_FILE, table, data.description, fallback)


class _Figures:
    """The rows of the table that compares recipes with the float model."""

    def __init__(self, model: LoadedModel, data: _Data, batch_size: int) -> None:
        self._data, self._batch_size = data, batch_size
        self._original = self._predict(model.module, "evaluate float32")
        self.rows = [["float32", self._top1(self._original), "", "", ""]]

    def add(self, name: str, graph: nn.Module) -> None:
        """Add the row of a quantized model."""
        found = self._predict(graph, "evaluate quantized")
        close = fidelity(self._original, found)
        share, ratio = f"{100 * close.agreement:.2f}", f"{close.sqnr_db:.2f}"
        self.rows.append([name, self._top1(found), share, ratio, f"{close.kl:.2e}"])

    def _predict(self, model: Callable[..., Any], what: str) -> Predictions:
        return predict(model, self._data.shown, batch_size=self._batch_size, what=what)

    def _top1(self, found: Predictions) -> str:
        is_labelled = self._data.test is not None and self._data.test.has_labels
        return f"{100 * found.top1:.2f}" if is_labelled else "-"


def _facts(
    args: argparse.Namespace, model: LoadedModel, analysis: Analysis, data: _Data
) -> dict[str, Any]:
    """Return what analysis.json says of the job itself."""
    test = data.test
    return {
        "model": model.name,
        "random_weights": model.is_random,
        "recipe": analysis.recipe.name,
        "recipe_sha256": _sha256(analysis.recipe),
        "seed": args.seed,
        "batch_size": args.batch_size,
        "threads": torch.get_num_threads(),
        "images": data.calib.num_images,
        "data_sha256": data.calib.sha256,
        "probe_images": data.probe.num_images,
        "probe_sha256": data.probe.sha256,
        "eval_images": test.num_images if test else 0,
        "eval_sha256": test.sha256 if test else None,
        "versions": versions(),
    }


def _result(
    args: argparse.Namespace,
    analysis: Analysis,
    chosen: Chosen,
    data: _Data,
    facts: dict[str, Any],
) -> dict[str, Any]:
    header, rows = chosen.figures
    operators = [found.operator for found in analysis.sensitivities]
    return {
        **facts,
        **analysis_data(analysis, args.metric),
        "raised": raises_data(chosen.raises, operators),
        "raised_recipe": chosen.recipe.name,
        "raised_recipe_sha256": _sha256(chosen.recipe),
        "figures": [dict(zip(header, row, strict=True)) for row in rows],
        "figures_measured_on": data.description,
        "max_drop": None if chosen.fallback is None else fallback_data(chosen.fallback),
    }


def _sentences(facts: dict[str, Any]) -> list[str]:
    random = " Its weights are random." if facts["random_weights"] else ""
    return [
        f"{facts['model']}: calibrated on {facts['images']} images, sensitivities on "
        f"{facts['probe_images']}, seed {facts['seed']}, {facts['threads']} threads, hybridquant "
        f"{facts['versions']['hybridquant']}, torch {facts['versions']['torch']}.{random}"
    ]


def _text(args: argparse.Namespace, chosen: Chosen, facts: dict[str, Any]) -> str:
    """Return the end of what is printed: figures, what was raised, and the files."""
    lines = ["", format_table(*chosen.figures), "", chosen.measured_on, *_sentences(facts)]
    if chosen.fallback is not None:
        lines += ["", fallback_table(chosen.fallback)]
    lines += ["Raised:" if chosen.raises else "Nothing raised.", *_raised(chosen)]
    written: Sequence[Path] = [args.out / name for name in FILES]
    return "\n".join([*lines, "Written:", *(f"  {file}" for file in written)])


def _raised(chosen: Chosen) -> list[str]:
    lines = [
        f"  {wanted.operand} of {wanted.kind} in {wanted.path or 'the model itself'}: "
        f"{wanted.bits} bits"
        for wanted in chosen.raises
    ]
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + [f"  and {more} more; {JSON_FILE} lists all"] * (more > 0)


def _sha256(recipe: Recipe) -> str:
    return hashlib.sha256(recipe_to_yaml(recipe).encode()).hexdigest()
