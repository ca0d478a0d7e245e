"""Integer models as they run: in Python, as TorchScript, and beside the simulator."""

from hybridquant.engine.describe import describe_integer, describe_integer_json
from hybridquant.engine.integer_model import IntegerModel
from hybridquant.engine.integer_module import IntegerModule
from hybridquant.engine.verification import Difference, Run, Verification, verify

__all__ = [
    "Difference",
    "IntegerModel",
    "IntegerModule",
    "Run",
    "Verification",
    "describe_integer",
    "describe_integer_json",
    "verify",
]
