"""Ways to ship a quantized model."""

from hybridquant.export.artifacts import ArtifactFolder
from hybridquant.export.torchscript import load_torchscript, save_torchscript

__all__ = ["ArtifactFolder", "load_torchscript", "save_torchscript"]
