"""Fake-quantization modules, one family a file."""

from __future__ import annotations

from torch import nn

from hybridquant.registry import Registry

QUANTIZERS: Registry[type[nn.Module]] = Registry("quantizer", "hybridquant.quantizers")
