"""Fake-quantization modules, one family a file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hybridquant.registry import Registry, unknown_name
from hybridquant.samples import Samples
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


# Levels and thresholds, by choices.
Tables = dict[object, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Setting:
    """What a quantizer that calibrates itself may use: a candidate, or what it uses now.

    Args:
        scale: float32 [num_channels].
        choices: What else is chosen, by name.
        zero_point: Integers in float32, [num_channels]; None where the quantizer has none.
    """

    scale: Tensor
    choices: Mapping[str, float] = field(default_factory=dict)
    zero_point: Tensor | None = None


class SelfCalibrating:
    """A fake-quantization module that chooses its own parameters, from the values it will see.

    The rule's observer has no say. A search with another measure than the squared error runs
    through ``candidates`` itself and takes the best over with ``use``.
    """

    @abstractmethod
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield every setting to try, those with the same choices behind each other.

        Args:
            samples: Of as many rows as the module has scales.
        """

    @abstractmethod
    def use(self, setting: Setting) -> None:
        """Take a setting over."""

    @abstractmethod
    def setting(self) -> Setting:
        """Return the setting in use."""

    @abstractmethod
    def error_of(self, setting: Setting, samples: Samples, cache: Tables) -> Tensor:
        """Return the squared error of each row, float64 [rows].

        Args:
            setting: A candidate.
            samples: The values.
            cache: For what may be kept from one candidate to the next, empty at first.
        """

    @torch.jit.unused
    def calibrate(self, samples: Samples) -> None:
        """Use the candidate with the least squared error; of equal ones the first.

        Each row has the scale that is best for it, all have the same choices.

        Args:
            samples: The values, of as many rows as there are scales.
        """
        cache: Tables = {}
        best: dict[tuple[tuple[str, float], ...], tuple[Tensor, Setting]] = {}
        for setting in self.candidates(samples):
            error = self.error_of(setting, samples, cache)
            key = tuple(setting.choices.items())
            best[key] = _better(best[key], (error, setting)) if key in best else (error, setting)
        self.use(min(best.values(), key=lambda found: float(found[0].sum()))[1])


def _better(
    first: tuple[Tensor, Setting], second: tuple[Tensor, Setting]
) -> tuple[Tensor, Setting]:
    """Return, row by row, the setting with the smaller error."""
    is_better = second[0] < first[0]
    scale = torch.where(is_better, second[1].scale, first[1].scale)
    setting = Setting(scale, first[1].choices, first[1].zero_point)
    return torch.minimum(first[0], second[0]), setting


QUANTIZERS: Registry[type[FakeQuant]] = Registry("quantizer", "hybridquant.quantizers")

__all__ = ["QUANTIZERS", "FakeQuant", "SelfCalibrating", "Setting", "Tables"]
