"""What a model expects of its input images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

INTERPOLATIONS = ("bicubic", "bilinear", "box", "hamming", "lanczos", "nearest")
CROP_MODES = ("border", "center", "squash")


@dataclass(frozen=True)
class DataConfig:
    """How a photograph becomes a model's input; the fields are timm's.

    The default is torchvision's and timm's usual ImageNet evaluation: resize the short edge to
    256, crop the central 224 x 224, normalise by ImageNet's mean and deviation.

    Args:
        input_size: (channels, height, width).
        interpolation: One of ``INTERPOLATIONS``.
        crop_pct: Size of the crop as a share of the resized image, above 0, at most 1.
        crop_mode: ``center`` keeps the aspect ratio and crops; ``squash`` resizes each edge on its
            own, then crops; ``border`` pads the short edge, then crops.
        mean: Mean of each channel, of pixels in 0 to 1.
        std: Standard deviation of each channel, above 0.

    Raises:
        ValueError: If a field is outside its range.

    Example:
        >>> DataConfig(crop_mode="middle")
        Traceback (most recent call last):
        ValueError: DataConfig: crop_mode must be one of border, center, squash, got 'middle'
    """

    input_size: tuple[int, int, int] = (3, 224, 224)
    interpolation: str = "bilinear"
    crop_pct: float = 0.875
    crop_mode: str = "center"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        sizes = self.input_size
        if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
            _reject(
                "input_size", "be three positive whole numbers (channels, height, width)", sizes
            )
        if self.interpolation not in INTERPOLATIONS:
            _reject("interpolation", f"be one of {', '.join(INTERPOLATIONS)}", self.interpolation)
        if self.crop_mode not in CROP_MODES:
            _reject("crop_mode", f"be one of {', '.join(CROP_MODES)}", self.crop_mode)
        if not 0 < self.crop_pct <= 1:
            _reject("crop_pct", "be above 0 and at most 1", self.crop_pct)
        for field in ("mean", "std"):
            if not isinstance(getattr(self, field), tuple):
                _reject(field, "be a tuple", getattr(self, field))
        if len(self.mean) != sizes[0] or not all(map(math.isfinite, self.mean)):
            _reject("mean", f"be {sizes[0]} finite numbers, one a channel", self.mean)
        if len(self.std) != sizes[0] or not all(0 < value < math.inf for value in self.std):
            _reject("std", f"be {sizes[0]} finite numbers above 0, one a channel", self.std)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> DataConfig:
        """Return the config that a model's ``pretrained_cfg`` or a card describes.

        Args:
            values: Fields by name; other keys are passed over, missing or None ones get the
                default.

        Raises:
            ValueError: If a field is outside its range.

        Example:
            >>> DataConfig.from_mapping({"input_size": [3, 256, 256], "url": ""}).input_size
            (3, 256, 256)
        """
        own = {field.name: values.get(field.name) for field in fields(cls)}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in own.items()
            if value is not None
        }
        return cls(**given)


def _reject(argument: str, requirement: str, got: object) -> None:
    msg = f"DataConfig: {argument} must {requirement}, got {got!r}"
    raise ValueError(msg)
