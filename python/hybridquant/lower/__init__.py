"""Lowering: a calibrated QuantGraph becomes a model in integers, which a simulator runs.

``lower`` makes an ``IntGraph``; ``simulate`` computes the codes of all its tensors for an image.
"""

from hybridquant.lower.entry import lower
from hybridquant.lower.errors import LoweringError
from hybridquant.lower.int_graph import ChannelCodes, Codes, IntGraph, IntNode, IntTensor
from hybridquant.lower.simulate import simulate

__all__ = [
    "ChannelCodes",
    "Codes",
    "IntGraph",
    "IntNode",
    "IntTensor",
    "LoweringError",
    "lower",
    "simulate",
]
