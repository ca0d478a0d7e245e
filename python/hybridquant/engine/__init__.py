"""Integer models as they run: in Python, as TorchScript, and beside the simulator."""

from hybridquant.engine.integer_model import IntegerModel
from hybridquant.engine.integer_module import IntegerModule

__all__ = ["IntegerModel", "IntegerModule"]
