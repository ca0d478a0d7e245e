"""Ways to ship a quantized model."""

from hybridquant.export.artifacts import ArtifactFolder
from hybridquant.export.integer_graph import Preprocessing
from hybridquant.export.integer_model import load_integer_model, save_integer_model
from hybridquant.export.torchscript import load_torchscript, save_torchscript

__all__ = [
    "ArtifactFolder",
    "Preprocessing",
    "load_integer_model",
    "load_torchscript",
    "save_integer_model",
    "save_torchscript",
]
