"""Trained models that come with the package, each a safetensors file with a card beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridquant.models.errors import reject

CHECKPOINTS = Path(__file__).with_name("checkpoints")


@dataclass(frozen=True)
class ReferenceModel:
    """A trained model in the package.

    Args:
        name: The architecture and the data it was trained on, e.g. ``efficientvit_b0.imagenette``.
        card: Its facts: ``model``, ``library`` and, where it has any, ``model_options``
            (architecture), ``origin``, ``training``, ``licence``, ``classes``, ``top1_val``
            (share) on ``top1_images`` images and, where it was measured on others too,
            ``top1_elsewhere``, ``parameters``, ``sha256`` of the weights, and the fields of
            ``DataConfig``.
        weights: The safetensors file.
    """

    name: str
    card: Mapping[str, Any]
    weights: Path

    def check(self) -> None:
        """Compare the weights with the hash on the card.

        Raises:
            OSError: If the file is missing.
            ValueError: If it is another file than the card describes.
        """
        digest = hashlib.sha256(self.weights.read_bytes()).hexdigest()
        if digest != self.card["sha256"]:
            reject(
                "name",
                f"have weights with sha256 {self.card['sha256']}",
                f"{self.name} with {digest}",
                "install hybridquant again",
            )


def list_models() -> list[ReferenceModel]:
    """Return the trained models in the package, by name."""
    return [
        ReferenceModel(
            card.name.removesuffix(".json"),
            json.loads(card.read_text(encoding="utf-8")),
            card.with_suffix(".safetensors"),
        )
        for card in sorted(CHECKPOINTS.glob("*.json"))
    ]


def default_model_name() -> str:
    """Return the name of the model that the quickstart and the tests use."""
    return "efficientvit_b0.imagenette"
