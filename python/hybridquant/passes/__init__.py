"""Passes: each takes a QuantGraph and calibration images, and returns the QuantGraph, improved.

A recipe is an ordered list of passes. One pass is one file in this folder; it registers itself.
"""

from collections.abc import Callable

from hybridquant.quant_graph import QuantGraph
from hybridquant.registry import Registry

PASSES: Registry[Callable[..., QuantGraph]] = Registry("pass", __name__)

__all__ = ["PASSES"]
