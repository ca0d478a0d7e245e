"""Observers: statistics of the values on an edge, turned into a scale and a zero-point.

Each observer is one file, registered in ``OBSERVERS``. ``base``, ``parameters``,
``streaming_histogram`` and ``distribution`` are what the observers share.
"""

from hybridquant.observers.base import OBSERVERS, Observer, Option
from hybridquant.observers.parameters import affine_parameters

__all__ = ["OBSERVERS", "Observer", "Option", "affine_parameters"]
