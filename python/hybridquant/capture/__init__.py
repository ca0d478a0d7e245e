"""Capture: any module that torch.export can trace becomes a FloatGraph of listed operators."""

from hybridquant.capture.bridges import Bridge, find_bridges
from hybridquant.capture.describe import describe, describe_json
from hybridquant.capture.entry import capture
from hybridquant.capture.errors import CaptureError, UnsupportedOperatorError
from hybridquant.capture.graph import FloatGraph

__all__ = [
    "Bridge",
    "CaptureError",
    "FloatGraph",
    "UnsupportedOperatorError",
    "capture",
    "describe",
    "describe_json",
    "find_bridges",
]
