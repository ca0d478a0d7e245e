"""A trained model as the package ships it: weights in float16, and a card beside them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from hybridquant.data import load_data
from hybridquant.report import predict
from training.photographs import Photographs, evaluation_config
from training.settings import Settings
from training.trainer import create_model

# Largest change of top-1 by storing weights in float16.
_ALLOWED = 0.001
LICENCE = "weights: BSD-3-Clause; trained on ImageNet-derived photographs (research use)"
ORIGIN = (
    "trained for this project; data: the public Imagenette2 (fast.ai), 10 classes of ImageNet "
    "photographs. An accuracy on these 10 classes says nothing about ImageNet-1k"
)


@dataclass(frozen=True)
class Origin:
    """How weights came to be.

    Args:
        settings: How they were trained.
        file: Name of the settings' file in configs/train.
        epochs: For how many epochs.
        photographs: The training photographs, for their classes and number.
        initial: Name of the file of weights that training started from; empty for random ones.
        initial_sha256: Of that file.
        precision: In which it trained, float32 or bfloat16.
    """

    settings: Settings
    file: str
    epochs: int
    photographs: Photographs
    initial: str = ""
    initial_sha256: str = ""
    precision: str = "float32"

    @property
    def command(self) -> str:
        """The training command, without the places of data."""
        start = f" --init {self.initial}" if self.initial else ""
        end = f" --stop-after {self.epochs}" if self.epochs < self.settings.epochs else ""
        start += f" --precision {self.precision}"
        return f"scripts/train_reference.py configs/train/{self.file}{start}{end}"


def write_release(
    weights: Mapping[str, Tensor], origin: Origin, validation: Path, name: Path
) -> dict[str, Any]:
    """Write ``name``.safetensors and ``name``.json, measured on the validation split.

    What is measured is the file's content, float16 weights back in float32, on images as
    ``hybridquant evaluate`` reads them.

    Args:
        weights: State of the model.
        origin: How they came to be.
        validation: Folder or archive of the validation photographs.
        name: Path of both files without suffix.

    Returns:
        The card.

    Raises:
        ValueError: If float16 changes the accuracy by 0.1 point or more.
    """
    settings, trained_on = origin.settings, origin.photographs
    config = evaluation_config(settings.input_size)
    data = load_data(validation, config, classes=trained_on.classes, require_labels=True)
    model = create_model(settings, len(trained_on.classes)).eval()
    model.load_state_dict(weights)
    full = predict(model, data).top1
    content = safetensors.torch.save({key: _stored(value) for key, value in weights.items()})
    model.load_state_dict(safetensors.torch.load(content))
    predictions = predict(model, data)
    if abs(predictions.top1 - full) >= _ALLOWED:
        raise ValueError(f"float16 weights must keep top-1 {full:.4f}, got {predictions.top1:.4f}")
    card = {
        "model": settings.model,
        "library": "timm",
        "model_options": settings.model_options,
        "origin": ORIGIN,
        "training": origin.command,
        "initial_sha256": origin.initial_sha256,
        "settings": dataclasses.asdict(settings),
        "epochs": origin.epochs,
        "train_images": len(trained_on),
        "train_sha256": trained_on.sha256,
        "licence": LICENCE,
        "num_classes": len(trained_on.classes),
        "classes": list(trained_on.classes),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "top1_val": round(predictions.top1, 4),
        "top1_images": predictions.images,
        "top1_sha256": data.sha256,
        **dataclasses.asdict(config),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    _replace(name.with_name(f"{name.name}.safetensors"), content)
    text = json.dumps(card, indent=2) + "\n"
    _replace(name.with_name(f"{name.name}.json"), text.encode())
    return card


def _stored(value: Tensor) -> Tensor:
    """Return a tensor in float16 where that keeps every value finite."""
    value = value.cpu().contiguous()
    if not value.is_floating_point():
        return value
    half = value.half()
    return half if bool(half.isfinite().all()) else value.float()


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".partial.{path.name}")
    partial.write_bytes(content)
    partial.replace(path)
