"""Train a reference checkpoint: a timm model on a small set of photographs.

    python scripts/train_reference.py configs/train/mobilevit_xxs.yaml \
        --data imagenette_train.tar --validation imagenette_val.tar --out runs/mobilevit_xxs
    torchrun --nproc-per-node 2 scripts/train_reference.py ...

Stopped at any time, the same command goes on after the last whole epoch and gives the same curve.
Choices are made on images held out of --data; --validation is read once, at the end, for the card
that is written beside the weights.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import torch

from training.photographs import Photographs, read_photographs, split
from training.processes import Processes, join_processes
from training.release import Origin, write_release
from training.settings import Settings, read_settings
from training.trainer import Trainer, load_state, save_state, top1

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> int:
    """Train as the command line says; return 0, 1 where that failed, 130 where it was stopped."""
    try:
        start(parse_arguments())
    except KeyboardInterrupt:
        sys.stderr.write("train_reference: stopped; the same command goes on\n")
        return 130
    except (OSError, ValueError, ArithmeticError) as error:
        sys.stderr.write(f"train_reference: error: {error}\n")
        return 1
    return 0


def start(args: argparse.Namespace) -> None:
    """Join the processes and run."""
    if args.validation and not args.validation.exists():
        # Said now, not after hours of training.
        raise FileNotFoundError(f"--validation must exist, got {args.validation}")
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings = read_settings(args.settings)
    with join_processes(args.device) as processes:
        # A function of its own: DistributedDataParallel must be gone before its group is left.
        run(args, settings, processes)


def run(args: argparse.Namespace, settings: Settings, processes: Processes) -> None:
    """Train, and release what was trained."""
    photographs = read_photographs(args.data, args.decode_size, processes.device)
    training, held = split(photographs, settings.holdout, settings.seed)
    precision = PRECISIONS.get(args.precision) or default_precision(processes.device)
    trainer = Trainer(settings, training, processes, precision, args.init)
    train(trainer, held, processes, args.out, args.stop_after)
    if processes.is_first and args.validation:
        name = args.out / f"{settings.model}.{args.data_name}"
        weights = trainer.ema.module.state_dict()
        origin = Origin(
            settings,
            args.settings.name,
            trainer.epoch,
            training,
            initial=args.init.name if args.init else "",
            initial_sha256=trainer.initial_sha256,
            precision=str(precision).removeprefix("torch."),
        )
        card = write_release(weights, origin, args.validation, name)
        print(f"{name}.safetensors: top-1 {card['top1_val']:.4f} of {card['top1_images']}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", type=Path, help="YAML file, see configs/train")
    parser.add_argument("--data", type=Path, required=True, help="training photographs")
    parser.add_argument("--validation", type=Path, help="photographs for the final figure")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--init", type=Path, help="safetensors file of the weights to start from")
    parser.add_argument("--data-name", default="imagenette", help="in the checkpoint's name")
    parser.add_argument("--decode-size", type=count, default=224, help="stored height and width")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="of the forward pass; auto is bfloat16 on a GPU, float32 on a CPU",
    )
    parser.add_argument("--threads", type=count, help="of each process; default torch's")
    parser.add_argument(
        "--stop-after",
        type=count,
        metavar="N",
        help="stop after N epochs in all; with --validation, release what there is then",
    )
    return parser.parse_args()


def count(text: str) -> int:
    """Return ``text`` as a whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def default_precision(device: torch.device) -> torch.dtype:
    """Return bfloat16 for a GPU, else float32: a CPU need not have instructions for bfloat16."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def train(
    trainer: Trainer, held: Photographs, processes: Processes, out: Path, stop_after: int | None
) -> None:
    """Train to the end or to ``stop_after``, saving and measuring after every epoch."""
    out.mkdir(parents=True, exist_ok=True)
    state_path = out / "state.pt"
    if state_path.exists():
        trainer.load_state(load_state(state_path, processes.device))
    end = min(trainer.settings.epochs, stop_after or trainer.settings.epochs)
    while trainer.epoch < end:
        record = trainer.train_epoch()
        if not processes.is_first:
            trainer.history.append(record)
            continue
        if len(held):
            size = trainer.settings.size_at(trainer.epoch - 1)
            record["holdout_top1"] = top1(trainer.ema.module, held, size)
        trainer.history.append(record)
        save_state(trainer.state(), state_path)
        write_log(trainer, out / "log.csv")
        print(", ".join(f"{key} {value:.6g}" for key, value in record.items()), flush=True)


def write_log(trainer: Trainer, path: Path) -> None:
    """Write the whole curve as CSV."""
    partial = path.with_name(f".partial.{path.name}")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(trainer.history[0]))
        writer.writeheader()
        writer.writerows(trainer.history)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
