"""``hybridquant compare``: every recipe on every model, in one table."""

from __future__ import annotations

import argparse
from typing import Any

from hybridquant.cli import COMMANDS, CheckFailedError, Say
from hybridquant.cli.arguments import add_run, path, positive_int, positive_number, whole_seed
from hybridquant.cli.subject import find_factory
from hybridquant.comparison import FILES, Comparison, compare


@COMMANDS.register("compare")
class CompareCommand:
    """Run recipes on models, each in a process of its own, and write one table."""

    help = "compare recipes on models: accuracy, significance, size, time and memory in one table"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare MODELS, the recipes, the data and how to run."""
        parser.add_argument(
            "models",
            nargs="+",
            metavar="MODEL",
            help="what `hybridquant quantize` takes, or NAME=WEIGHTS with a file; with +xRATIO at "
            "its end the model with outlier channels (docs/compare.md)",
        )
        parser.add_argument(
            "--recipes",
            nargs="+",
            required=True,
            metavar="R",
            help="names from `hybridquant list recipes`, 'baseline/*' for all that match, YAML "
            "files",
        )
        parser.add_argument(
            "--calib", required=True, type=path, metavar="DATA", help="calibration images"
        )
        parser.add_argument(
            "--eval", required=True, type=path, metavar="DATA", help="test images, best labelled"
        )
        parser.add_argument("--out", required=True, type=path, metavar="DIR", help="output folder")
        parser.add_argument(
            "--images", type=positive_int, metavar="N", help="calibration images; default all"
        )
        parser.add_argument(
            "--eval-images", type=positive_int, metavar="N", help="test images; default all"
        )
        parser.add_argument("--checkpoint", type=path, metavar="F", help="weights of the one MODEL")
        parser.add_argument(
            "--pretrained", action="store_true", help="download timm's or torchvision's weights"
        )
        _add_stress(parser)
        _add_cells(parser)
        add_run(parser)

    def run(self, args: argparse.Namespace, _say: Say) -> tuple[str, Any]:
        """Return the table as text and as plain data.

        Raises:
            CheckFailedError: If a cell failed.
        """
        for name in args.models:
            find_factory(name)
        found = compare(
            args.models,
            args.recipes,
            args.calib,
            args.eval,
            args.out,
            images=args.images,
            eval_images=args.eval_images,
            seed=args.seed,
            batch_size=args.batch_size,
            integer=not args.no_integer,
            stress=args.stress,
            stress_seed=args.stress_seed,
            checkpoint=args.checkpoint,
            pretrained=args.pretrained,
            threads=args.threads,
            jobs=args.jobs,
            timeout=args.timeout,
            rerun=args.rerun,
        )
        text = _text(found, args)
        if found.failures:
            count = f"{found.failures} of {len(found.rows)}"
            msg = f"compare: every cell must be computed, got {count} that failed"
            raise CheckFailedError(msg, text, found.plain())
        return text, found.plain()


def _add_stress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stress",
        nargs="+",
        type=positive_number,
        default=[],
        metavar="X",
        help="compare each MODEL with outlier channels of these ratios; 1 is the model as it is",
    )
    parser.add_argument(
        "--stress-seed", type=whole_seed, default=0, metavar="S", help="of the channels; default 0"
    )


def _add_cells(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-integer", action="store_true", help="make no integer models")
    parser.add_argument(
        "--jobs", type=positive_int, default=1, metavar="J", help="cells at a time; default 1"
    )
    parser.add_argument(
        "--timeout", type=positive_number, metavar="SECONDS", help="stop a cell that takes longer"
    )
    parser.add_argument("--rerun", action="store_true", help="compute finished cells again")


def _text(found: Comparison, args: argparse.Namespace) -> str:
    written = [f"  {args.out / name}" for name in FILES]
    return "\n".join([found.markdown, "", "Written:", *written])
