"""Fake-quantization modules, one family a file."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from hybridquant.registry import Registry
from hybridquant.types import QuantSpec


class FakeQuant(nn.Module):
    """What every fake-quantization module holds, and the rest of the package asks of it.

    Args:
        num_channels: Number of scales, at least 1.

    Attributes:
        enabled: Whether ``forward`` quantizes; it returns its input otherwise.
        scale: float32 [num_channels], NaN until calibrated.
        zero_point: float32 [num_channels], integers.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.enabled = True
        self.scale = nn.Parameter(torch.full([num_channels], torch.nan), requires_grad=False)
        self.zero_point = nn.Parameter(torch.zeros(num_channels), requires_grad=False)

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: QuantSpec, channel_axis: int, num_channels: int) -> FakeQuant:
        """Return an uncalibrated module for ``spec``.

        Args:
            spec: Bits, scheme and granularity.
            channel_axis: Axis of the input's channels.
            num_channels: Size of that axis; used when the granularity is ``channel``.
        """

    @abstractmethod
    def set_parameters(self, scale: Tensor, zero_point: Tensor) -> None:
        """Copy scales and zero-points in, both [num_channels]."""


QUANTIZERS: Registry[type[FakeQuant]] = Registry("quantizer", "hybridquant.quantizers")

__all__ = ["QUANTIZERS", "FakeQuant"]
