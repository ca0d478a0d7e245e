"""``hybridquant evaluate``: top-1 of a model by name, or of an exported file."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from hybridquant.cli import COMMANDS, Say
from hybridquant.cli.arguments import add_model, add_run, path, positive_int, set_threads
from hybridquant.cli.subject import file_of, labelled, load_file, load_subject
from hybridquant.models import LoadedModel
from hybridquant.report import format_table, predict, versions


@COMMANDS.register("evaluate")
class EvaluateCommand:
    """Measure the accuracy of a model."""

    is_shared = True
    help = "measure the top-1 accuracy of a model or of an exported file"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare MODEL and the data."""
        add_model(parser, also="a file that `hybridquant quantize` wrote (*.pt, *.safetensors)")
        parser.add_argument(
            "--data", required=True, type=path, metavar="DATA", help="labelled images"
        )
        parser.add_argument("--images", type=positive_int, metavar="N", help="images; default all")
        add_run(parser)

    def run(self, args: argparse.Namespace, _say: Say) -> tuple[str, Any]:
        """Return the accuracy as a table and as plain data."""
        set_threads(args.threads)
        torch.manual_seed(args.seed)
        file = file_of(args, ".pt", ".safetensors")
        model = load_file(file) if file else load_subject(args)
        data = labelled(args.data, model, args.images, args.seed)
        run = model.module if isinstance(model, LoadedModel) else model.run
        result = predict(run, data, batch_size=args.batch_size, processes=args.processes)
        low, high = result.top1_interval()
        figures = {
            "model": model.name,
            "random_weights": isinstance(model, LoadedModel) and model.is_random,
            "images": data.num_images,
            "data_sha256": data.sha256,
            "top1": round(result.top1, 6),
            "interval95": [round(low, 6), round(high, 6)],
            "versions": versions(),
        }
        row = [model.name, f"{100 * result.top1:.2f}", f"{100 * low:.1f} to {100 * high:.1f}"]
        header = ["model", "top-1 %", "95 % interval", "images"]
        return format_table(header, [[*row, data.num_images]]), figures
