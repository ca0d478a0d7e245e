"""Quantization of CNN-transformer hybrid vision transformers.

Importing the package loads the operators ``torch.ops.hybridquant.*``, which TorchScript files of
quantized models need.
"""

from importlib.metadata import version

from hybridquant_cli import one_sentence_under_python_m

with one_sentence_under_python_m():
    from hybridquant.analysis import Analysis, analyze, limit_drop
    from hybridquant.calibration import Calibration
    from hybridquant.capture import FloatGraph, capture
    from hybridquant.comparison import Comparison, compare
    from hybridquant.data import DataConfig, ImageData, load_data
    from hybridquant.engine import IntegerModel, IntegerModule, verify
    from hybridquant.export import load_torchscript, save_torchscript
    from hybridquant.models import LoadedModel, default_model_name, list_models, load_model
    from hybridquant.ops import build_info, dequantize_affine, fake_quant_affine, quantize_affine
    from hybridquant.pipeline import quantize, to_integer
    from hybridquant.quant_graph import QuantEdge, QuantGraph, prepare
    from hybridquant.recipe import Recipe, list_recipes, load_recipe
    from hybridquant.report import Fidelity, Predictions, fidelity, format_table, predict
    from hybridquant.training import Learning, distillation_loss, enable_learning
    from hybridquant.types import Edge, QuantSpec

__version__ = version("hybridquant")

__all__ = [
    "Analysis",
    "Calibration",
    "Comparison",
    "DataConfig",
    "Edge",
    "Fidelity",
    "FloatGraph",
    "ImageData",
    "IntegerModel",
    "IntegerModule",
    "Learning",
    "LoadedModel",
    "Predictions",
    "QuantEdge",
    "QuantGraph",
    "QuantSpec",
    "Recipe",
    "analyze",
    "build_info",
    "capture",
    "compare",
    "default_model_name",
    "dequantize_affine",
    "distillation_loss",
    "enable_learning",
    "fake_quant_affine",
    "fidelity",
    "format_table",
    "limit_drop",
    "list_models",
    "list_recipes",
    "load_data",
    "load_model",
    "load_recipe",
    "load_torchscript",
    "predict",
    "prepare",
    "quantize",
    "quantize_affine",
    "save_torchscript",
    "to_integer",
    "verify",
]
