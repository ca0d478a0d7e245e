"""``hybridquant quantize``: a model and calibration images in, a quantized model out."""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from hybridquant.cli import COMMANDS, Say
from hybridquant.cli.arguments import add_model, add_run, path, positive_int, set_threads
from hybridquant.cli.subject import (
    describe_float,
    describe_model,
    labelled,
    load_subject,
    run_over,
    versions,
)
from hybridquant.data import load_data
from hybridquant.export import ArtifactFolder, save_torchscript
from hybridquant.pipeline import quantize
from hybridquant.recipe import load_recipe, recipe_to_yaml
from hybridquant.report import (
    Coverage,
    Predictions,
    coverage,
    fidelity,
    float_bytes,
    format_table,
    packed_bytes,
)

MODEL_FILE, RECIPE_FILE, METRICS_FILE = "model.fakequant.pt", "recipe.yaml", "metrics.json"
FILES = (MODEL_FILE, RECIPE_FILE, METRICS_FILE)


@COMMANDS.register("quantize")
class QuantizeCommand:
    """Quantize a model and write it with its figures."""

    help = "quantize a model, compare it with its float original, write TorchScript"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare MODEL, the recipe, the data and the output folder."""
        add_model(parser)
        parser.add_argument(
            "--recipe",
            default="baseline/w8a8-mse",
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
        add_run(parser)

    def run(self, args: argparse.Namespace, say: Say) -> tuple[str, Any]:
        """Return the table of figures and the content of metrics.json."""
        recipe = load_recipe(args.recipe)
        recipe_text = recipe_to_yaml(recipe)
        set_threads(args.threads)
        torch.manual_seed(args.seed)
        with ArtifactFolder(args.out, FILES) as out:
            model = load_subject(args)
            calib = load_data(args.calib, model.data_config, num_images=args.images, seed=args.seed)
            test = labelled(args.eval, model) if args.eval else None
            shown = test or calib
            original = run_over(model.module, shown, args.batch_size, "evaluate float32")
            say(describe_float(model, original, test))
            start = time.perf_counter()
            graph = quantize(model.module, calib, recipe, batch_size=args.batch_size)
            seconds = time.perf_counter() - start
            example = next(iter(calib.batches(2)))[0]
            save_torchscript(
                graph, out.staging / MODEL_FILE, example, describe_model(model, recipe)
            )
            quantized = run_over(graph, shown, args.batch_size, "evaluate quantized")
            metrics = {
                "model": model.name,
                "random_weights": model.is_random,
                "recipe": recipe.name,
                "recipe_sha256": hashlib.sha256(recipe_text.encode()).hexdigest(),
                "seed": args.seed,
                "batch_size": args.batch_size,
                "threads": torch.get_num_threads(),
                "images": calib.num_images,
                "data_sha256": calib.sha256,
                "eval_images": test.num_images if test else 0,
                "eval_sha256": test.sha256 if test else None,
                **_figures(original, quantized, is_labelled=test is not None),
                "model_bytes": packed_bytes(graph),
                "float_bytes": float_bytes(model.module),
                "coverage": asdict(coverage(graph)),
                "seconds": round(seconds, 3),
                "versions": versions(),
            }
            out.write_text(RECIPE_FILE, recipe_text)
            out.write_json(METRICS_FILE, metrics)
        return _summary(metrics, args.out), metrics


def _figures(original: Predictions, quantized: Predictions, is_labelled: bool) -> dict[str, Any]:
    close = fidelity(original, quantized)
    return {
        "fp32_top1": round(original.top1, 6) if is_labelled else None,
        "top1": round(quantized.top1, 6) if is_labelled else None,
        "agreement": round(close.agreement, 6),
        # JSON has no infinity: null says that the logits are equal.
        "sqnr_db": round(close.sqnr_db, 4) if math.isfinite(close.sqnr_db) else None,
        "kl": round(close.kl, 6),
    }


def _summary(metrics: dict[str, Any], out: Path) -> str:
    """Return the table and the paths of what was written."""
    header = ["model", "top-1 %", "agreement %", "SQNR dB", "bytes", "seconds"]
    float_row = ["float32", _percent(metrics["fp32_top1"]), "", "", metrics["float_bytes"], ""]
    quantized_row = [
        metrics["recipe"],
        _percent(metrics["top1"]),
        _percent(metrics["agreement"]),
        "equal" if metrics["sqnr_db"] is None else f"{metrics['sqnr_db']:.1f}",
        metrics["model_bytes"],
        f"{metrics['seconds']:.1f}",
    ]
    where = (
        f"{metrics['eval_images']} evaluation images"
        if metrics["eval_images"]
        else f"the {metrics['images']} calibration images (no --eval)"
    )
    files = [f"  {out / name}" for name in FILES]
    cover = Coverage(metrics["coverage"]["quantized"], metrics["coverage"]["float"])
    return "\n".join(
        [
            "",
            format_table(header, [float_row, quantized_row]),
            "",
            f"Measured on {where}; calibrated on {metrics['images']} images, seed "
            f"{metrics['seed']}, {metrics['threads']} threads.",
            f"Operators {cover}.",
            "Bytes are weights at their bit widths; the operators run in float here (simulation).",
            "Written:",
            *files,
        ]
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
