"""--max-drop: more bits for the most sensitive operators until a model loses little enough."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from hybridquant.analysis import Analysis, Fallback, Step, analyze, limit_drop
from hybridquant.cli import Say
from hybridquant.cli.arguments import positive_int
from hybridquant.cli.subject import labelled
from hybridquant.data import ImageData, load_data
from hybridquant.models import LoadedModel
from hybridquant.recipe import Recipe

_PROBE_IMAGES = 64


def add_max_drop(parser: argparse.ArgumentParser) -> None:
    """Declare --max-drop and --probe-images."""
    parser.add_argument(
        "--max-drop",
        type=_points,
        metavar="X",
        help="raise the most sensitive operators (weights to 8 bits, inputs to 16) until at "
        "most X points of top-1 are lost on the --eval images, or of agreement with the float "
        "model where there are no labels; exit code 1 where everything raised is not enough",
    )
    parser.add_argument(
        "--probe-images",
        type=positive_int,
        default=_PROBE_IMAGES,
        metavar="N",
        help="calibration images that sensitivities are measured on; default %(default)s",
    )


def evaluation_data(source: Path, model: LoadedModel) -> ImageData:
    """Return evaluation images, with labels where they have any."""
    found = load_data(source, model.data_config)
    return labelled(source, model) if found.has_labels else found


def search(
    args: argparse.Namespace,
    model: LoadedModel,
    calib: ImageData,
    analysis: Analysis,
    test: ImageData | None,
    metric: str,
    say: Say,
) -> Fallback:
    """Return what --max-drop leads to, with a line a step."""

    def tell(step: Step) -> None:
        say(
            f"weights raised: {step.weights}, inputs raised: {step.inputs}; "
            f"drop {step.drop:.2f} points, {args.max_drop:g} allowed"
        )

    return limit_drop(
        model.module,
        calib,
        analysis,
        args.max_drop,
        metric=metric,
        evaluation=test,
        batch_size=args.batch_size,
        on_step=tell,
    )


def analyze_and_search(
    args: argparse.Namespace,
    model: LoadedModel,
    calib: ImageData,
    recipe: Recipe,
    test: ImageData | None,
    say: Say,
) -> Fallback:
    """Return what --max-drop leads to from ``recipe``, with the sensitivities that it needs."""
    probe = probe_data(args, model, calib)
    analysis = analyze(model.module, calib, recipe, probe=probe, batch_size=args.batch_size)
    return search(args, model, calib, analysis, test, "kl", say)


def probe_data(args: argparse.Namespace, model: LoadedModel, calib: ImageData) -> ImageData:
    """Return the calibration images that sensitivities are measured on, classes taking turns."""
    count = min(args.probe_images, calib.num_images)
    return load_data(args.calib, model.data_config, num_images=count, seed=args.seed)


def missed(command: str, fallback: Fallback) -> str:
    """Return the sentence for a drop that is not kept."""
    what = "top-1" if fallback.metric == "top1" else "agreement"
    return (
        f"{command}: --max-drop must be kept, got a drop of {fallback.step.drop:.2f} points of "
        f"{what} at best, {fallback.max_drop:g} allowed, with everything raised; start from "
        "another recipe"
    )


def _points(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        msg = f"must be a number of at least 0, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return value
