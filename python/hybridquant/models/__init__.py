"""Models by name: reference checkpoints, timm, torchvision, or your own factory."""

from hybridquant.models.by_name import load_model
from hybridquant.models.loaded_model import LoadedModel
from hybridquant.models.outliers import inject_outliers
from hybridquant.models.reference import ReferenceModel, default_model_name, list_models

__all__ = [
    "LoadedModel",
    "ReferenceModel",
    "default_model_name",
    "inject_outliers",
    "list_models",
    "load_model",
]
