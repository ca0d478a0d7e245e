"""Calibration and evaluation images, preprocessed as the model expects them."""

from hybridquant.data.data_config import DataConfig
from hybridquant.data.image_data import ImageData
from hybridquant.data.loading import load_data

__all__ = ["DataConfig", "ImageData", "load_data"]
