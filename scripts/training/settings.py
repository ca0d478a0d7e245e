"""Settings of a training run, read from YAML."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Stage:
    """Consecutive epochs at one image size.

    Args:
        epochs: How many.
        size: Height and width of the crops in pixels.
    """

    epochs: int
    size: int

    def __post_init__(self) -> None:
        check_kinds(self, "stages.")
        check(self.epochs >= 1, "stages.epochs", "be at least 1", self.epochs)
        check(self.size >= 16, "stages.size", "be at least 16", self.size)


@dataclass(frozen=True)
class Settings:
    """How a model is trained. Crops, flips and erasing are timm's, as are their default values.

    Args:
        model: Name of a timm model.
        stages: Epochs and sizes, in order; at half the size an epoch has a quarter of the pixels.
        input_size: Height and width at which the model is evaluated.
        model_options: Further arguments of ``timm.create_model``, e.g. ``{img_size: 128}``.
        optimizer: Name of a timm optimizer: ``adamw``, ``sgd``, ...
        lr: Learning rate after the warm-up; falls to 0 along a cosine.
        weight_decay: Of weights of two or more dimensions; biases and norms have none.
        batch_size: Images a step, over all processes.
        warmup_epochs: Epochs in which the learning rate rises linearly from 0.
        clip_grad: Largest norm of the gradient; 0 does not clip.
        ema_decay: Of the moving average of the weights, which is what is kept.
        label_smoothing: Share of the target spread over all classes.
        crop_scale: Range of a crop's share of the photograph's area.
        flip: Probability of a horizontal flip.
        color_jitter: Largest relative change of brightness, contrast and saturation.
        erasing: Probability of erasing a rectangle.
        mixup: Alpha of mixup; 0 is off.
        cutmix: Alpha of cutmix; 0 is off.
        holdout: Share of the training images kept for choices.
        seed: Of weights, order and augmentation.

    Raises:
        ValueError: If a value is outside its range.
    """

    model: str
    stages: tuple[Stage, ...]
    input_size: int
    model_options: dict[str, Any] = field(default_factory=dict)
    optimizer: str = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.05
    batch_size: int = 64
    warmup_epochs: int = 2
    clip_grad: float = 5.0
    ema_decay: float = 0.998
    label_smoothing: float = 0.1
    crop_scale: tuple[float, float] = (0.35, 1.0)
    flip: float = 0.5
    color_jitter: float = 0.3
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    holdout: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_kinds(self)
        check(len(self.stages) > 0, "stages", "hold at least one stage", self.stages)
        check(self.input_size >= 16, "input_size", "be at least 16", self.input_size)
        check(self.batch_size >= 2, "batch_size", "be at least 2", self.batch_size)
        check(self.lr > 0, "lr", "be above 0", self.lr)
        is_within = 0 <= self.warmup_epochs < self.epochs
        check(is_within, "warmup_epochs", f"be 0 to {self.epochs - 1}", self.warmup_epochs)
        is_pair = len(self.crop_scale) == 2 and all(map(_is_number, self.crop_scale))
        check(is_pair, "crop_scale", "be two numbers", self.crop_scale)
        low, high = self.crop_scale
        check(0 < low <= high <= 1, "crop_scale", "be a range within 0 to 1", self.crop_scale)
        for name in ("ema_decay", "label_smoothing", "flip", "color_jitter", "erasing", "holdout"):
            value = getattr(self, name)
            check(0 <= value < 1, name, "be at least 0 and below 1", value)
        for name in ("weight_decay", "clip_grad", "mixup", "cutmix"):
            value = getattr(self, name)
            check(value >= 0, name, "be at least 0", value)

    @property
    def epochs(self) -> int:
        """Number of epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def size_at(self, epoch: int) -> int:
        """Return the size of the crops in an epoch, counted from 0."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage.size
            epoch -= stage.epochs
        msg = f"Settings: epoch must be below {self.epochs}"
        raise IndexError(msg)


def read_settings(path: Path) -> Settings:
    """Return the settings in a YAML file.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no mapping, has an unknown or lacks a needed key, or a value is of
            another kind or outside its range.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: must be YAML, got {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: must be a mapping, got {type(content).__name__}")
    known = {entry.name for entry in dataclasses.fields(Settings)}
    unknown = sorted(set(content) - known)
    if unknown:
        raise ValueError(
            f"{path}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}"
        )
    try:
        for key in ("stages", "crop_scale"):
            check(isinstance(content.get(key, []), list), key, "be a list", content.get(key))
        for stage in content.get("stages", ()):
            check(isinstance(stage, dict), "stages", "hold {epochs: E, size: S}", stage)
        stages = tuple(Stage(**stage) for stage in content.get("stages", ()))
        pairs = {key: tuple(content[key]) for key in ("crop_scale",) if key in content}
        return Settings(**{**content, **pairs, "stages": stages})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def check_kinds(settings: Stage | Settings, prefix: str = "") -> None:
    """Raise ValueError where a value is of another kind than its field."""
    for entry in dataclasses.fields(settings):
        value = getattr(settings, entry.name)
        kind, has_kind = {
            "int": ("a whole number", type(value) is int),
            "float": ("a number", _is_number(value)),
            "str": ("text", isinstance(value, str)),
            "dict[str, Any]": ("a mapping", isinstance(value, dict)),
        }.get(str(entry.type), ("", True))
        check(has_kind, prefix + entry.name, f"be {kind}", value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check(is_good: bool, name: str, requirement: str, got: object) -> None:
    """Raise ValueError where a setting is not good."""
    if not is_good:
        raise ValueError(f"{name} must {requirement}, got {got!r}")
