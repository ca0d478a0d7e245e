"""Ways to ship a quantized model."""

from hybridquant.export.artifacts import ArtifactFolder
from hybridquant.export.integer_graph import Preprocessing
from hybridquant.export.integer_model import (
    integer_model_bytes,
    load_integer_model,
    parse_integer_model,
    save_integer_model,
)
from hybridquant.export.torchscript import load_torchscript, save_torchscript

__all__ = [
    "ArtifactFolder",
    "Preprocessing",
    "integer_model_bytes",
    "load_integer_model",
    "load_torchscript",
    "parse_integer_model",
    "save_integer_model",
    "save_torchscript",
]
