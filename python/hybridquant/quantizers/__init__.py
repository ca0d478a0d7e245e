"""Fake-quantization modules, one family a file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hybridquant.registry import Registry, unknown_name
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

    # Allowed values of each option that a rule may give; the first is the default.
    OPTIONS: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.enabled = True
        self.scale = nn.Parameter(torch.full([num_channels], torch.nan), requires_grad=False)
        self.zero_point = nn.Parameter(torch.zeros(num_channels), requires_grad=False)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with defaults filled in.

        Raises:
            ValueError: If a name is unknown (the text gives the closest) or a value is not allowed.
        """
        values = {name: allowed[0] for name, allowed in cls.OPTIONS.items()}
        for name, value in options.items():
            if name not in cls.OPTIONS:
                hint = unknown_name("option", name, cls.OPTIONS) if cls.OPTIONS else "it has none"
                msg = f"{cls.__name__}: options must be known, got {name!r}; {hint}"
                raise ValueError(msg)
            allowed = cls.OPTIONS[name]
            if not any(value == item and type(value) is type(item) for item in allowed):
                known = ", ".join(map(repr, allowed))
                msg = f"{cls.__name__}: {name} must be one of {known}, got {value!r}"
                raise ValueError(msg)
            values[name] = value
        return values

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
