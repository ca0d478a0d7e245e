"""What every observer is: checked values in, a range per row, a scale and a zero-point out."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hybridquant.observers.parameters import affine_parameters
from hybridquant.registry import Registry, unknown_name
from hybridquant.types import QuantSpec


@dataclass(frozen=True)
class Option:
    """One option of an observer: a number, its default and its range.

    Args:
        default: Value when the option is not given; None when absence means something.
        low: Smallest allowed value.
        high: Largest allowed value.
        is_integer: Only whole numbers are allowed.
        help: One sentence for people.
    """

    default: float | None
    low: float
    high: float
    is_integer: bool = False
    help: str = ""

    def requirement(self) -> str:
        """Return what a value has to be, as in ``a number in [0.0, 1.0]``."""
        kind = "an integer" if self.is_integer else "a number"
        return f"{kind} in [{self.low}, {self.high}]"

    def accepts(self, value: object) -> bool:
        """Tell whether ``value`` is a number of the right kind inside the range."""
        if isinstance(value, bool) or not isinstance(
            value, int if self.is_integer else (int, float)
        ):
            return False
        return self.low <= value <= self.high


class Observer(ABC):
    """Watches the values on one edge, batch after batch, and gives its quantization parameters.

    An observer sees its input as rows: one row per channel, or a single row. All arithmetic is
    per row and in float32 or float64 whatever the input's type. It holds state on the device of
    the first tensor it sees, uses no randomness, and gives the same result for any number of
    threads.

    Args:
        spec: Bits, scheme, granularity and the options of this observer.
        channel_axis: Axis of the channels (counts from the end if negative), None per tensor.

    Raises:
        ValueError: If the options are not this observer's, or ``channel_axis`` does not fit
            ``spec.granularity``.
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, spec: QuantSpec, channel_axis: int | None) -> None:
        name = type(self).__name__
        if (spec.granularity == "channel") != (channel_axis is not None):
            needed = "an axis" if spec.granularity == "channel" else "None"
            msg = (
                f"{name}: channel_axis must be {needed} for granularity {spec.granularity!r}, "
                f"got {channel_axis}"
            )
            raise ValueError(msg)
        self.spec = spec
        self.channel_axis = channel_axis
        self.options = self.check_options(spec.observer_options)
        self._num_rows: int | None = None

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with defaults filled in.

        Raises:
            ValueError: If a name is unknown (the text gives the closest) or a value is not allowed.
        """
        values: dict[str, Any] = {name: option.default for name, option in cls.OPTIONS.items()}
        for name, value in options.items():
            if name not in cls.OPTIONS:
                hint = unknown_name("option", name, cls.OPTIONS) if cls.OPTIONS else "it has none"
                msg = f"{cls.__name__}: options must be known, got {name!r}; {hint}"
                raise ValueError(msg)
            option = cls.OPTIONS[name]
            if not option.accepts(value):
                msg = f"{cls.__name__}: {name} must be {option.requirement()}, got {value!r}"
                raise ValueError(msg)
            values[name] = value
        return values

    def observe(self, x: Tensor) -> None:
        """Take one batch into account.

        Args:
            x: Values, any shape; float32, bfloat16, float16 or float64.

        Raises:
            TypeError: If ``x`` is not floating point.
            ValueError: If ``x`` is empty, holds NaN or infinity, lacks the channel axis, or has
                another number of channels than before.
        """
        rows = self._rows(x)
        if rows.shape[0] == 1:  # aminmax over everything is faster than over an axis
            low, high = (bound.reshape(1) for bound in torch.aminmax(rows))
        else:
            low, high = torch.aminmax(rows, dim=1)
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise ValueError(_non_finite_message(type(self).__name__, rows))
        self._update(rows, low, high)
        self._num_rows = rows.shape[0]

    def value_range(self) -> tuple[Tensor, Tensor]:
        """Return the range to quantize as (low, high), float32, one element per row.

        Raises:
            RuntimeError: If nothing was observed.
        """
        if self._num_rows is None:
            msg = (
                f"{type(self).__name__}: observe must be called before the parameters are read, "
                "got no data; run the calibration images through the model first"
            )
            raise RuntimeError(msg)
        return self._range()

    def quantization_parameters(self) -> tuple[Tensor, Tensor]:
        """Return (scale, zero_point), float32, ``[1]`` or ``[channels]``.

        Raises:
            RuntimeError: If nothing was observed.
        """
        return affine_parameters(*self.value_range(), self.spec)

    def merge(self, later: Observer) -> None:
        """Take in what another observer saw of the same edge after this one, exactly.

        This one is then as if it had observed the batches of both, one after the other: the same
        parameters, bit for bit.

        Args:
            later: An observer with the same spec and axis; not changed. It may have seen nothing.

        Raises:
            ValueError: If it has another spec or axis, or saw another number of channels.
        """
        mine, its = (self._identity(), later._identity())
        if mine != its:
            msg = f"{type(self).__name__}.merge: later must be of {mine}, got {its}"
            raise ValueError(msg)
        if later._num_rows is None:
            return
        if self._num_rows is None:
            self.__dict__.update(copy.deepcopy(later.__dict__))
            return
        if self._num_rows != later._num_rows:
            msg = (
                f"{type(self).__name__}.merge: later must have {self._num_rows} channels, "
                f"got {later._num_rows}"
            )
            raise ValueError(msg)
        self._merge(later)

    def _identity(self) -> tuple[str, QuantSpec, int | None]:
        return type(self).__name__, self.spec, self.channel_axis

    @abstractmethod
    def _update(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        """Take ``rows`` [rows, values] with their extremes ``low`` and ``high`` [rows] in."""

    @abstractmethod
    def _merge(self, later: Any) -> None:
        """Take in the batches of ``later``, of the same class and number of rows, both not empty.

        The state of an observer that could not do so exactly has to hold what each batch needs, as
        that of ``ema`` does.
        """

    @abstractmethod
    def _range(self) -> tuple[Tensor, Tensor]:
        """Return (low, high), each [rows]."""

    def _rows(self, x: Tensor) -> Tensor:
        """Return ``x`` as float32 [rows, values], checked."""
        name = type(self).__name__
        if not x.is_floating_point():
            msg = f"{name}.observe: x must be floating point, got {x.dtype}"
            raise TypeError(msg)
        if x.numel() == 0:
            msg = f"{name}.observe: x must have at least one value, got shape {tuple(x.shape)}"
            raise ValueError(msg)
        x = x.detach().to(torch.float32)
        axis = self.channel_axis
        if axis is None:
            return x.reshape(1, -1)
        if not -x.dim() <= axis < x.dim():
            msg = f"{name}.observe: x must have the channel axis {axis}, got shape {tuple(x.shape)}"
            raise ValueError(msg)
        if self._num_rows is not None and x.shape[axis] != self._num_rows:
            msg = (
                f"{name}.observe: x must have {self._num_rows} channels on axis {axis} as before, "
                f"got shape {tuple(x.shape)}"
            )
            raise ValueError(msg)
        return x.movedim(axis, 0).reshape(x.shape[axis], -1)


OBSERVERS: Registry[type[Observer]] = Registry("observer", "hybridquant.observers")


def _non_finite_message(name: str, rows: Tensor) -> str:
    num_nan = int(torch.isnan(rows).sum())
    num_inf = int(torch.isinf(rows).sum())
    return (
        f"{name}.observe: x must be finite, got {num_nan} NaN and {num_inf} infinite of "
        f"{rows.numel()} values; check the calibration images, the preprocessing and the "
        "checkpoint, and run the float model in float32"
    )
