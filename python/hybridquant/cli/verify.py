"""``hybridquant verify``: an integer model's engine beside its simulator, code for code."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from hybridquant.cli import COMMANDS, CheckFailedError, Say
from hybridquant.cli.arguments import add_run, path, positive_int, set_threads
from hybridquant.cli.quantize import INTEGER_FILE, SCRIPT_FILE
from hybridquant.cli.subject import ModelFile, load_file
from hybridquant.data import load_data
from hybridquant.engine import IntegerModel, Verification, verify
from hybridquant.progress import track
from hybridquant.report import format_table, versions


@COMMANDS.register("verify")
class VerifyCommand:
    """Compare the engine with the simulator and with TorchScript."""

    help = "compare an integer model's engine with the simulator, node by node, and TorchScript"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare OUT and the data."""
        parser.add_argument(
            "out", type=path, metavar="OUT", help="a folder that `hybridquant quantize` filled"
        )
        parser.add_argument(
            "--data", required=True, type=path, metavar="DATA", help="images, labelled or not"
        )
        parser.add_argument("--images", type=positive_int, metavar="N", help="images; default all")
        add_run(parser)

    def run(self, args: argparse.Namespace, _say: Say) -> tuple[str, Any]:
        """Return what was compared as a table and as plain data.

        Raises:
            CheckFailedError: If a code differs.
        """
        set_threads(args.threads)
        if not (args.out / INTEGER_FILE).is_file():
            msg = f"verify: OUT must be a folder with {INTEGER_FILE}, got {args.out}"
            raise FileNotFoundError(msg)
        model = IntegerModel.load(args.out / INTEGER_FILE)
        script = load_file(args.out / SCRIPT_FILE)
        _check_program(model, script, args.out)
        data = load_data(args.data, script.data_config, num_images=args.images, seed=args.seed)
        images = (x for x, _ in data.byte_batches(args.batch_size))
        total = -(-data.num_images // args.batch_size)
        found = verify(model, track(images, "verify", total), script.run, args.batch_size)
        figures = {**_plain(found), "data_sha256": data.sha256, "versions": versions()}
        text = _text(found)
        if found.differing_codes:
            raise CheckFailedError(_sentence(found), text, figures)
        return text, figures


def _check_program(model: IntegerModel, script: ModelFile, out: Path) -> None:
    program = getattr(script.run, "program", None)
    if not isinstance(program, Tensor) or program.numpy().tobytes() != model.to_bytes():
        msg = (
            f"verify: {out / SCRIPT_FILE} must hold the model of {INTEGER_FILE}, got another; "
            "quantize again"
        )
        raise ValueError(msg)


def _plain(found: Verification) -> dict[str, Any]:
    return {
        "images": found.images,
        "nodes": found.nodes,
        "differing_codes": found.differing_codes,
        "first_difference": asdict(found.first) if found.first else None,
        "runs": [asdict(run) for run in found.runs],
    }


def _sentence(found: Verification) -> str:
    where = f"; the first: {found.first}" if found.first else ", all of them in the runs' logits"
    return f"verify: all codes must be equal, got {found.differing_codes} that differ{where}"


def _text(found: Verification) -> str:
    logits = sum(run.differing_codes for run in found.runs)
    rows: list[list[object]] = [
        ["engine", f"all {found.nodes} nodes", 1, 1, found.differing_codes - logits]
    ]
    rows += [[r.runner, "logits", r.batch, r.threads, r.differing_codes] for r in found.runs]
    header = ["runner", "beside the simulator", "batch", "threads", "differing codes"]
    lines = [
        format_table(header, rows),
        "",
        f"{found.images} images, {found.nodes} nodes, {found.differing_codes} differing codes.",
    ]
    if found.first:
        lines.append(f"First difference: {found.first}.")
    return "\n".join(lines)
