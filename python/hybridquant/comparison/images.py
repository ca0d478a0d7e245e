"""The images of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybridquant.data import ImageData, load_data
from hybridquant.models import LoadedModel


@dataclass(frozen=True)
class Images:
    """Where the images of a comparison come from.

    Args:
        calib: Images to calibrate on.
        eval: Images to measure on, labelled or not.
        num_calib: How many of the first are drawn; None for all.
        num_eval: How many of the second are drawn; None for all.
        seed: Of the draws.
    """

    calib: str
    eval: str
    num_calib: int | None = None
    num_eval: int | None = None
    seed: int = 0

    def calibration(self, model: LoadedModel) -> ImageData:
        """Return the calibration images, as ``hybridquant quantize`` draws them."""
        return load_data(self.calib, model.data_config, num_images=self.num_calib, seed=self.seed)

    def evaluation(self, model: LoadedModel) -> ImageData:
        """Return the images to measure on; with labels, they count the model's classes."""
        options: dict[str, Any] = {"num_images": self.num_eval, "seed": self.seed}
        found = load_data(self.eval, model.data_config, **options)
        if not found.has_labels or model.classes is None:
            return found
        return load_data(self.eval, model.data_config, classes=model.classes, **options)

    def plain(self) -> dict[str, Any]:
        """Return what makes an equal value, as plain data."""
        return dict(vars(self))
