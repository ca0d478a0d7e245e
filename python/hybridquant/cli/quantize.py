"""``hybridquant quantize``: a model and calibration images in, a quantized model out."""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from hybridquant.analysis import fallback_data
from hybridquant.calibration import Calibration
from hybridquant.cli import COMMANDS, CheckFailedError, Say
from hybridquant.cli.arguments import add_model, add_run, path, positive_int, set_threads
from hybridquant.cli.fallback import add_max_drop, analyze_and_search, missed
from hybridquant.cli.integers import add_integer, integer_metrics, lower_for
from hybridquant.cli.subject import (
    describe_float,
    describe_model,
    labelled,
    load_subject,
)
from hybridquant.cli.summary import summary
from hybridquant.data import ImageData, load_data
from hybridquant.engine import IntegerModel
from hybridquant.export import ArtifactFolder, save_torchscript
from hybridquant.models import LoadedModel
from hybridquant.pipeline import quantize
from hybridquant.quant_graph import QuantGraph
from hybridquant.recipe import Recipe, load_recipe, recipe_to_yaml
from hybridquant.report import (
    Predictions,
    coverage,
    fidelity,
    float_bytes,
    packed_bytes,
    predict,
    versions,
)

MODEL_FILE, RECIPE_FILE, METRICS_FILE = "model.fakequant.pt", "recipe.yaml", "metrics.json"
INTEGER_FILE, SCRIPT_FILE = "model.hq.safetensors", "model.int8.pt"
FILES = (MODEL_FILE, INTEGER_FILE, SCRIPT_FILE, RECIPE_FILE, METRICS_FILE)


@COMMANDS.register("quantize")
class QuantizeCommand:
    """Quantize a model and write it with its figures."""

    is_shared = True
    help = "quantize a model, compare it with its float original, write the files"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare MODEL, the recipe, the data and the output folder."""
        add_model(parser)
        parser.add_argument(
            "--recipe",
            default="hybrid/w8a8",
            metavar="R",
            help="a name from `hybridquant list recipes` or a YAML file; default %(default)s",
        )
        parser.add_argument(
            "--calib", required=True, type=path, metavar="DATA", help="calibration images"
        )
        parser.add_argument("--eval", type=path, metavar="DATA", help="labelled test images")
        parser.add_argument(
            "--images", type=positive_int, metavar="N", help="calibration images; default all"
        )
        parser.add_argument("--out", required=True, type=path, metavar="DIR", help="output folder")
        add_integer(parser)
        add_max_drop(parser)
        add_run(parser)

    def run(self, args: argparse.Namespace, say: Say) -> tuple[str, Any]:
        """Return the table of figures and the content of metrics.json.

        Raises:
            CheckFailedError: If --max-drop is not kept with everything raised; the files are
                written all the same.
        """
        recipe = load_recipe(args.recipe)
        set_threads(args.threads)
        torch.manual_seed(args.seed)
        with ArtifactFolder(args.out, FILES) as out:
            model = load_subject(args)
            calib = load_data(args.calib, model.data_config, num_images=args.images, seed=args.seed)
            test = labelled(args.eval, model) if args.eval else None
            measure = Measure(args, model, test or calib)
            images = Calibration(calib, args.batch_size, args.processes)
            say(describe_float(model, measure.original, test))
            start = time.perf_counter()
            if args.max_drop is None:
                fallback = None
                graph = quantize(model.module, images, recipe)
            else:
                fallback = analyze_and_search(args, model, calib, recipe, test, say)
                recipe, graph = fallback.recipe, fallback.graph
            seconds = time.perf_counter() - start
            example = next(iter(calib.batches(2)))[0]
            about = describe_model(model, recipe)
            save_torchscript(graph, out.staging / MODEL_FILE, example, about)
            integer, float_operators = lower_for(args, graph, model, recipe)
            if integer is not None:
                integer.save(out.staging / INTEGER_FILE)
                integer.save_torchscript(out.staging / SCRIPT_FILE, about)
            metrics = {
                **describe_job(args, model, recipe, calib, test),
                **measure.figures(graph, integer),
                **integer_metrics(integer, float_operators),
                "max_drop": fallback_data(fallback) if fallback else None,
                "model_bytes": packed_bytes(graph),
                "float_bytes": float_bytes(model.module),
                "coverage": asdict(coverage(graph)),
                "seconds": round(seconds, 3),
            }
            out.write_text(RECIPE_FILE, recipe_to_yaml(recipe))
            out.write_json(METRICS_FILE, metrics)
            written = [args.out / name for name in FILES if (out.staging / name).exists()]
        text = summary(metrics, written)
        if fallback and not fallback.is_reached:
            raise CheckFailedError(missed("quantize", fallback), text, metrics)
        return text, metrics


def describe_job(
    args: argparse.Namespace,
    model: LoadedModel,
    recipe: Recipe,
    calib: ImageData,
    test: ImageData | None,
) -> dict[str, Any]:
    """Return what metrics.json says of the job itself."""
    return {
        "model": model.name,
        "random_weights": model.is_random,
        "recipe": recipe.name,
        "recipe_sha256": hashlib.sha256(recipe_to_yaml(recipe).encode()).hexdigest(),
        "seed": args.seed,
        "batch_size": args.batch_size,
        "threads": torch.get_num_threads(),
        "images": calib.num_images,
        "data_sha256": calib.sha256,
        "eval_images": test.num_images if test else 0,
        "eval_sha256": test.sha256 if test else None,
        "versions": versions(),
    }


class Measure:
    """Runs models over the images that figures are measured on."""

    def __init__(self, args: argparse.Namespace, model: LoadedModel, shown: ImageData) -> None:
        self.shown, self.batch_size = shown, args.batch_size
        self.processes = args.processes
        self.is_labelled = args.eval is not None
        self.original = self.run(model.module, "evaluate float32")

    def run(self, model: Callable[[Tensor], Any], what: str) -> Predictions:
        """Return what ``model`` says about the images."""
        return predict(
            model, self.shown, batch_size=self.batch_size, what=what, processes=self.processes
        )

    def figures(self, graph: QuantGraph, integer: IntegerModel | None) -> dict[str, Any]:
        """Return how good both models are beside the original; null where there is none."""
        quantized = self.run(graph, "evaluate quantized")
        exact = self.run(integer, "evaluate integer") if integer else None
        return {
            "fp32_top1": round(self.original.top1, 6) if self.is_labelled else None,
            **self.beside(self.original, quantized),
            **{f"integer_{key}": x for key, x in self.beside(self.original, exact).items()},
            "integer_fakequant_agreement": self.beside(quantized, exact)["agreement"],
        }

    def beside(self, original: Predictions, other: Predictions | None) -> dict[str, float | None]:
        """Return the figures of ``other``, and how close it is to ``original``."""
        if other is None:
            return dict.fromkeys(("top1", "agreement", "sqnr_db", "kl"))
        close = fidelity(original, other)
        return {
            "top1": round(other.top1, 6) if self.is_labelled else None,
            "agreement": round(close.agreement, 6),
            # JSON has no infinity: null says that the logits are equal.
            "sqnr_db": round(close.sqnr_db, 4) if math.isfinite(close.sqnr_db) else None,
            "kl": round(close.kl, 6),
        }
