"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from hybridquant.models import default_model_name


def add_model(parser: argparse.ArgumentParser, also: str = "") -> None:
    """Declare MODEL, --checkpoint and --pretrained; ``also`` names a further form of MODEL."""
    parser.add_argument(
        "model",
        type=_model_name,
        metavar="MODEL",
        help="`default`, a reference checkpoint (`hybridquant list models`), a timm or torchvision "
        "name (timm:NAME and torchvision:NAME where both know it), or package.module:factory"
        + (f", or {also}" if also else ""),
    )
    parser.add_argument(
        "--checkpoint", type=path, metavar="F", help="weights: .safetensors, .pth or .pt"
    )
    parser.add_argument(
        "--pretrained", action="store_true", help="download timm's or torchvision's weights"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Declare how to run: --threads, --batch-size and --seed."""
    parser.add_argument("--seed", type=whole_seed, default=0, metavar="S", help="default 0")
    parser.add_argument(
        "--threads", type=_threads, metavar="T", help="torch threads; default: torch's own"
    )
    parser.add_argument(
        "--batch-size", type=positive_int, default=32, metavar="B", help="default 32"
    )


def _model_name(text: str) -> str:
    return default_model_name() if text == "default" else text


def path(text: str) -> Path:
    """Return ``text`` as a path, for argparse; an empty one would be the working directory."""
    if not text.strip():
        msg = f"must be a path, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return Path(text)


def positive_int(text: str) -> int:
    """Return ``text`` as an integer of at least 1, for argparse."""
    return _whole_number(text, 1, None)


def positive_number(text: str) -> float:
    """Return ``text`` as a finite number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        msg = f"must be a number above 0, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return value


def whole_seed(text: str) -> int:
    """Return ``text`` as a whole number from 0 to 2^63 - 1, for argparse."""
    return _whole_number(text, 0, 2**63 - 1)


def _threads(text: str) -> int:
    # Far more than processors have; where threads run out, OpenMP ends the process.
    return _whole_number(text, 1, 1024)


def _whole_number(text: str, low: int, high: int | None) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if value < low or (high is not None and value > high):
        within = f"of at least {low}" if high is None else f"from {low} to {high}"
        msg = f"must be a whole number {within}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return value


def set_threads(threads: int | None) -> None:
    """Let torch use ``threads`` threads; None keeps its own choice."""
    if threads is not None:
        torch.set_num_threads(threads)
