"""The model and the images that a command works on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hybridquant.data import DataConfig, ImageData, load_data
from hybridquant.engine import IntegerModel
from hybridquant.export import load_torchscript
from hybridquant.models import LoadedModel, load_model
from hybridquant.models.zoo import ZOOS
from hybridquant.recipe import Recipe
from hybridquant.report import Predictions

# Measured accuracy further than this from the card's is worth a warning (a two-sided normal
# deviate of 4 happens by chance once in 16,000 times): usually the preprocessing is wrong.
_ALARM_SIGMAS = 4.0


@dataclass(frozen=True)
class ModelFile:
    """A model of a file that ``hybridquant quantize`` wrote.

    Args:
        name: The file.
        run: Maps images, or their bytes where it has ``takes_bytes``, to logits.
        data_config: How photographs become its images.
        classes: Names of its classes; None where unknown.
    """

    name: str
    run: Callable[[Tensor], Any]
    data_config: DataConfig
    classes: tuple[str, ...] | None


def file_of(args: argparse.Namespace, *suffixes: str) -> Path | None:
    """Return the file that MODEL names by its suffix; None where it is a model's name.

    Raises:
        ValueError: If it is a file, and options that only go with a name are given.
    """
    file = Path(args.model)
    if file.suffix not in suffixes:
        return None
    if args.checkpoint or args.pretrained:
        msg = f"MODEL must be a name where --checkpoint or --pretrained is given, got {file}"
        raise ValueError(msg)
    return file


def load_file(file: Path) -> ModelFile:
    """Return the model of a file that ``hybridquant quantize`` wrote, TorchScript or integer.

    Raises:
        OSError: If the file does not exist or cannot be read.
        ValueError: If it is none of ours, or damaged.
    """
    if file.suffix == ".safetensors":
        model = IntegerModel.load(file, torch.get_num_threads())
        return ModelFile(str(file), model, model.data_config, model.classes or None)
    module, metadata = load_torchscript(file)
    if "data_config" not in metadata:
        msg = f"MODEL must be a file that hybridquant wrote, got {file} without metadata"
        raise ValueError(msg)
    config = DataConfig.from_mapping(metadata["data_config"])
    return ModelFile(str(file), module, config, tuple(metadata["classes"] or ()) or None)


def load_subject(args: argparse.Namespace) -> LoadedModel:
    """Return MODEL with the weights that ``add_model``'s arguments name.

    The module of a ``package.module:factory`` may lie in the working directory, as for
    ``python -m``. No other MODEL reads code from there.
    """
    find_factory(args.model)
    return load_model(args.model, args.checkpoint, pretrained=args.pretrained)


def find_factory(name: str) -> None:
    """Let modules be imported from the working directory, if ``name`` is a factory's."""
    prefix, is_prefixed, _ = name.partition(":")
    if is_prefixed and prefix not in ZOOS and "" not in sys.path:
        sys.path.insert(0, "")


def labelled(
    source: Path, model: LoadedModel | ModelFile, num_images: int | None = None, seed: int = 0
) -> ImageData:
    """Return labelled images for ``model``.

    Raises:
        ValueError: If the images carry no labels.
    """
    return load_data(
        source,
        model.data_config,
        classes=model.classes,
        num_images=num_images,
        seed=seed,
        require_labels=True,
    )


def describe_float(model: LoadedModel, original: Predictions, test: ImageData | None) -> str:
    """Return the sentence on the float model that every job starts with."""
    if test is None:
        return f"{model.name} float32: no --eval images, so no accuracy"
    low, high = original.top1_interval()
    text = (
        f"{model.name} float32: top-1 {100 * original.top1:.2f} % on {original.images} images "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f})"
    )
    if model.is_random:
        return f"{text}; its weights are random (pass --checkpoint or --pretrained)"
    claimed = (model.card or {}).get("top1_val")
    if claimed is None:
        return text
    low, high = original.top1_interval(_ALARM_SIGMAS)
    alarm = "" if low <= claimed <= high else "; WARNING: far from it, check images and transform"
    return f"{text}; its card says {100 * claimed:.2f} %{alarm}"


def describe_model(model: LoadedModel, recipe: Recipe) -> dict[str, Any]:
    """Return what an exported file says about itself: enough to feed it images again."""
    return {
        "model": model.name,
        "recipe": recipe.name,
        "data_config": asdict(model.data_config),
        "classes": list(model.classes) if model.classes else None,
        "hybridquant": version("hybridquant"),
    }
