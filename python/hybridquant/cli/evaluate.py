"""``hybridquant evaluate``: top-1 of a model by name, or of an exported file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from hybridquant.cli import COMMANDS, Say
from hybridquant.cli.arguments import add_model, add_run, path, positive_int, set_threads
from hybridquant.cli.subject import labelled, load_subject, run_over, versions
from hybridquant.data import DataConfig
from hybridquant.export import load_torchscript
from hybridquant.models import LoadedModel
from hybridquant.report import format_table


@COMMANDS.register("evaluate")
class EvaluateCommand:
    """Measure the accuracy of a model."""

    help = "measure the top-1 accuracy of a model or of an exported file"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare MODEL and the data."""
        add_model(parser, also="the TorchScript file that `hybridquant quantize` wrote (*.pt)")
        parser.add_argument(
            "--data", required=True, type=path, metavar="DATA", help="labelled images"
        )
        parser.add_argument("--images", type=positive_int, metavar="N", help="images; default all")
        add_run(parser)

    def run(self, args: argparse.Namespace, _say: Say) -> tuple[str, Any]:
        """Return the accuracy as a table and as plain data."""
        set_threads(args.threads)
        torch.manual_seed(args.seed)
        model = _load(args)
        data = labelled(args.data, model, args.images, args.seed)
        result = run_over(model.module, data, args.batch_size, "evaluate")
        low, high = result.top1_interval()
        figures = {
            "model": model.name,
            "random_weights": model.is_random,
            "images": data.num_images,
            "data_sha256": data.sha256,
            "top1": round(result.top1, 6),
            "interval95": [round(low, 6), round(high, 6)],
            "versions": versions(),
        }
        row = [model.name, f"{100 * result.top1:.2f}", f"{100 * low:.1f} to {100 * high:.1f}"]
        header = ["model", "top-1 %", "95 % interval", "images"]
        return format_table(header, [[*row, data.num_images]]), figures


def _load(args: argparse.Namespace) -> LoadedModel:
    file = Path(args.model)
    if file.suffix != ".pt":
        return load_subject(args)
    if args.checkpoint or args.pretrained:
        msg = f"evaluate: --checkpoint and --pretrained must go with a model's name, got {file}"
        raise ValueError(msg)
    module, metadata = load_torchscript(file)
    if "data_config" not in metadata:
        msg = f"evaluate: MODEL must be a file that hybridquant wrote, got {file} without metadata"
        raise ValueError(msg)
    classes = metadata["classes"]
    return LoadedModel(
        name=str(file),
        module=module,
        data_config=DataConfig.from_mapping(metadata["data_config"]),
        classes=tuple(classes) if classes else None,
        card=None,
        is_random=False,
    )
