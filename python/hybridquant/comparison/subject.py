"""The models of a comparison, and their variants with outliers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hybridquant.models import LoadedModel, default_model_name, inject_outliers, load_model

_STRESS = re.compile(r"\+x(?P<ratio>\d+(\.\d+)?)$")
_LEAST, _MOST = 1.0, 1024.0  # what inject_outliers takes


@dataclass(frozen=True)
class Subject:
    """A model of a comparison.

    Args:
        name: What ``load_model`` takes.
        checkpoint: Weights; None for those that the name stands for.
        pretrained: Whether to download timm's or torchvision's weights.
        ratio: Of the outliers that ``inject_outliers`` makes; 1 leaves the model as it is.
        stress_seed: Of the draw of channels that get outliers.
    """

    name: str
    checkpoint: str | None = None
    pretrained: bool = False
    ratio: float = 1.0
    stress_seed: int = 0

    @property
    def base(self) -> str:
        """The model without outliers, as tables name it."""
        return self.name if self.checkpoint is None else f"{self.name}={Path(self.checkpoint).name}"

    @property
    def label(self) -> str:
        """What tables name it: ``base``, and the ratio where there are outliers."""
        return self.base if self.ratio == 1 else f"{self.base}+x{self.ratio:g}"

    def load(self, seed: int) -> LoadedModel:
        """Return the model with its outliers; ``seed`` is of weights that are random.

        Outliers depend on the model, ``ratio`` and ``stress_seed`` alone, not on the images.

        Raises:
            OSError, TypeError, ValueError, RuntimeError: As ``load_model`` and
                ``inject_outliers`` do.
        """
        torch.manual_seed(seed)
        model = load_model(self.name, self.checkpoint, pretrained=self.pretrained)
        if self.ratio == 1:
            return model
        return replace(model, module=inject_outliers(model.module, self.ratio, self.stress_seed))

    def plain(self) -> dict[str, Any]:
        """Return what makes an equal subject, as plain data."""
        return dict(vars(self))


def parse_subjects(
    models: Sequence[str],
    *,
    checkpoint: str | Path | None = None,
    pretrained: bool = False,
    stress: Sequence[float] = (),
    stress_seed: int = 0,
) -> list[Subject]:
    """Return the models that texts name, each once, in their order.

    Args:
        models: ``NAME``, ``NAME=WEIGHTS``, or either with ``+xRATIO`` at its end, where NAME is
            what ``load_model`` takes or ``default``.
        checkpoint: Weights of the one model there is.
        pretrained: Whether to download timm's or torchvision's weights.
        stress: Ratios that each model without one of its own is wanted with.
        stress_seed: Of the draw of channels that get outliers.

    Raises:
        ValueError: If there is no model, a ratio is not 1 to 1024, ``checkpoint`` is given for
            several models, or tables would give two models one name.

    Example:
        >>> [subject.label for subject in parse_subjects(["resnet18", "resnet18+x4"])]
        ['resnet18', 'resnet18+x4']
        >>> [subject.label for subject in parse_subjects(["resnet18=a/w.pth"], stress=[1, 64])]
        ['resnet18=w.pth', 'resnet18=w.pth+x64']
    """
    subjects: dict[Subject, None] = {}
    for text in models:
        base, ratio = _split(text)
        for wanted in [ratio] if ratio is not None else stress or [1.0]:
            _check_ratio(float(wanted))
            subjects[_subject(base, checkpoint, pretrained, float(wanted), stress_seed)] = None
    if not subjects:
        msg = "compare: models must name at least one model, got none"
        raise ValueError(msg)
    if checkpoint is not None and len({subject.name for subject in subjects}) > 1:
        count = len({subject.name for subject in subjects})
        msg = (
            "compare: models must be one where checkpoint is given, got "
            f"{count}; write NAME=WEIGHTS"
        )
        raise ValueError(msg)
    _check_labels(list(subjects))
    return list(subjects)


def _check_labels(subjects: Sequence[Subject]) -> None:
    for i, subject in enumerate(subjects):
        if subject.label in [other.label for other in subjects[:i]]:
            msg = (
                f"compare: models must have names of their own, got two named {subject.label}; "
                "give their weights' files different names"
            )
            raise ValueError(msg)


def _split(text: str) -> tuple[str, float | None]:
    found = _STRESS.search(text)
    return (text, None) if found is None else (text[: found.start()], float(found["ratio"]))


def _subject(
    text: str, checkpoint: str | Path | None, pretrained: bool, ratio: float, stress_seed: int
) -> Subject:
    name, _, own = text.partition("=")
    weights = own or (None if checkpoint is None else str(checkpoint))
    full = default_model_name() if name == "default" else name
    # Without outliers there is nothing to draw: the same subject, whatever the seed.
    return Subject(full, weights, pretrained, ratio, stress_seed if ratio != 1 else 0)


def _check_ratio(ratio: float) -> None:
    if not _LEAST <= ratio <= _MOST:
        msg = f"compare: stress must be {_LEAST:g} to {_MOST:g}, got {ratio:g}"
        raise ValueError(msg)
