"""Capture: any module that torch.export can trace becomes a FloatGraph of listed operators."""

from hybridquant.capture.entry import capture
from hybridquant.capture.errors import CaptureError, UnsupportedOperatorError
from hybridquant.capture.graph import FloatGraph

__all__ = ["CaptureError", "FloatGraph", "UnsupportedOperatorError", "capture"]
