"""A cell of a comparison: one recipe on one model, and what its figures depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hybridquant.comparison.fingerprint import ops_sha256, structure_sha256, weights_sha256
from hybridquant.comparison.images import Images
from hybridquant.comparison.recipes import recipe_sha256
from hybridquant.comparison.subject import Subject
from hybridquant.models import LoadedModel
from hybridquant.recipe import Recipe
from hybridquant.report import versions

FLOAT = "float32"
_KEY_LENGTH = 32  # of 64 hexadecimal digits


@dataclass(frozen=True)
class Settings:
    """How all cells of a comparison are computed.

    Args:
        images: The images.
        batch_size: Images a batch.
        is_integer: Whether integer models are made and measured.
        threads: Threads of torch in each cell; None for torch's own choice.
    """

    images: Images
    batch_size: int = 32
    is_integer: bool = True
    threads: int | None = None


@dataclass(frozen=True)
class Cell:
    """One recipe on one model, or the model itself.

    Args:
        subject: The model.
        recipe: The recipe; None for the float32 model.
        inputs: What the figures depend on, as plain data.
        baseline: The float32 cell of the model, whose logits this one is compared with; None for
            that cell itself.
    """

    subject: Subject
    recipe: Recipe | None
    inputs: dict[str, Any]
    baseline: Cell | None = None

    @property
    def key(self) -> str:
        """The hash of the inputs."""
        text = json.dumps(self.inputs, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]

    @property
    def label(self) -> str:
        """The model and the recipe, for a person."""
        return f"{self.subject.label}, {self.recipe_name}"

    @property
    def recipe_name(self) -> str:
        """The recipe's name, ``float32`` where there is none."""
        return FLOAT if self.recipe is None else self.recipe.name


def plan(
    subjects: Sequence[Subject], recipes: Sequence[Recipe], settings: Settings
) -> Iterator[Cell]:
    """Yield all cells, those of a model together and its float32 cell first.

    Every model is loaded, and every image read once, so that wrong names, weights and data are
    errors before any work is done.

    Raises:
        OSError, TypeError, ValueError, ImportError: As ``load_model`` and ``load_data`` do.
    """
    ops, facts = ops_sha256(), _Facts(settings)
    for subject in subjects:
        model, calib, test = facts.of(subject)
        common = {
            "form": 1,
            **model,
            "ratio": subject.ratio,
            "stress_seed": subject.stress_seed,
            **test,
            "seed": settings.images.seed,
            "batch_size": settings.batch_size,
            "versions": versions(),
            "ops_sha256": ops,
        }
        baseline = Cell(subject, None, common)
        yield baseline
        for recipe in recipes:
            does = {"recipe_sha256": recipe_sha256(recipe), "is_integer": settings.is_integer}
            yield Cell(subject, recipe, {**common, **calib, **does}, baseline)


class _Facts:
    """Reads each model, and each set of images, once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models: dict[object, tuple[dict[str, Any], ...]] = {}
        self._images: dict[object, tuple[dict[str, Any], ...]] = {}

    def of(self, subject: Subject) -> tuple[dict[str, Any], ...]:
        """Return what is known of the model without outliers, and of both sets of images."""
        which = (subject.name, subject.checkpoint, subject.pretrained)
        if which not in self._models:
            model = Subject(*which).load(self._settings.images.seed)
            # Labels count the model's classes; the images themselves are the same for all models.
            if model.classes not in self._images:
                self._images[model.classes] = _describe_images(self._settings.images, model)
            self._models[which] = (_describe(model), *self._images[model.classes])
        return self._models[which]


def _describe_images(images: Images, model: LoadedModel) -> tuple[dict[str, Any], dict[str, Any]]:
    calib, test = images.calibration(model), images.evaluation(model)
    return (
        {"calib_sha256": calib.sha256, "calib_images": calib.num_images},
        {
            "eval_sha256": test.sha256,
            "eval_images": test.num_images,
            "is_labelled": test.has_labels,
        },
    )


def _describe(model: LoadedModel) -> dict[str, Any]:
    config = asdict(model.data_config)
    return {
        "model": model.name,
        "weights_sha256": weights_sha256(model.module),
        "structure_sha256": structure_sha256(model.module),
        "data_config": {key: list(x) if isinstance(x, tuple) else x for key, x in config.items()},
    }
