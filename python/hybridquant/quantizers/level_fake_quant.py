"""What quantizers with levels of their own share: the module, and how a setting is chosen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from hybridquant.ops import fake_quant_levels
from hybridquant.quantizers import FakeQuant, SelfCalibrating, Setting, Tables
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

# Minus the least value of GELU, as the papers have it.
GELU_MINIMUM = 0.16997124
# The bits of the largest float32.
_LARGEST_KEY = 0x7F7FFFFF


class LevelFakeQuant(SelfCalibrating, FakeQuant):
    """Replaces each value by one of a list of levels, in units of a scale.

    A new module is uncalibrated: its scale is NaN, and using it is a ValueError until ``use`` or
    ``calibrate`` is called. The scale is a parameter that does not ask for gradients; a learned
    scale moves all levels together, and with them what is fixed in other units (an offset, the
    negative levels of ``twin_gelu``) until the next ``use``.

    A subclass says by ``levels_of`` and ``index_of`` what its paper's formula is. The thresholds
    between levels are found from the formula itself, in float64, for every float32.

    Args:
        bits: Width of a code, 2 to 8.
        num_levels: Number of levels.
        channel_axis: Axis of the input's channels; ignored with one scale.
        num_channels: Number of scales.

    Attributes:
        levels: float32 [num_levels], in units of the scale, from the lowest values' on.
        thresholds: float32 [num_levels - 1]: the smallest value of each level but the first.
        chosen: float64, what else the paper chooses, in the order of ``CHOICES``.

    Shape:
        ``[*] -> [*]``.

    Raises:
        ValueError: If the bits are not 2 to 8.
    """

    # Names of what is chosen besides the scale.
    CHOICES: ClassVar[tuple[str, ...]] = ()
    # Whether the levels, in units of the scale, are other ones for another scale.
    DEPENDS_ON_SCALE: ClassVar[bool] = False

    if TYPE_CHECKING:  # TorchScript cannot read these here
        levels: Tensor
        thresholds: Tensor
        chosen: Tensor

    def __init__(
        self, bits: int, num_levels: int, channel_axis: int = 0, num_channels: int = 1
    ) -> None:
        super().__init__(num_channels)
        self.bits = bits
        self.channel_axis = channel_axis
        self.grad_factor = 1.0
        self.register_buffer("levels", torch.zeros(num_levels))
        self.register_buffer("thresholds", torch.zeros(num_levels - 1))
        chosen = torch.full([len(self.CHOICES)], torch.nan, dtype=torch.float64)
        self.register_buffer("chosen", chosen)

    @abstractmethod
    def levels_of(self, setting: Setting) -> Tensor:
        """Return the levels in units of the scale, float64 [num_levels]."""

    @abstractmethod
    def index_of(self, t: Tensor, setting: Setting) -> Tensor:
        """Return the index of the level of each value, int64: the paper's formula.

        Args:
            t: Values in units of the scale, float64. A larger one never has a smaller index.
            setting: What is chosen.
        """

    @torch.jit.unused
    def use(self, setting: Setting) -> None:
        """Take a setting over.

        Raises:
            ValueError: If it lacks a choice, or its scale is not positive and finite or has
                another shape; nothing is changed then.
        """
        check_scale(self, setting.scale)
        missing = [name for name in self.CHOICES if name not in setting.choices]
        if missing:
            msg = f"{type(self).__name__}.use: setting must have the choice {missing[0]!r}"
            raise ValueError(msg)
        levels, thresholds = self.tables(setting)
        with torch.no_grad():
            self.scale.copy_(setting.scale)
            self.levels.copy_(levels)
            self.thresholds.copy_(thresholds)
            for index, name in enumerate(self.CHOICES):
                self.chosen[index] = setting.choices[name]

    @torch.jit.unused
    def setting(self) -> Setting:
        """Return the setting in use."""
        choices = dict(zip(self.CHOICES, self.chosen.tolist(), strict=True))
        return Setting(self.scale.detach().clone(), choices)

    @torch.jit.unused
    def set_parameters(self, scale: Tensor, zero_point: Tensor) -> None:
        """Copy the scale in and keep what else is chosen; zero-points must be 0.

        Raises:
            ValueError: If a zero-point is not 0, nothing was chosen before, or as ``use`` has it.
        """
        name = type(self).__name__
        if bool(zero_point.any()):
            msg = f"{name}.set_parameters: zero_point must be 0, got {zero_point.tolist()}"
            raise ValueError(msg)
        if bool(self.chosen.isnan().any()):
            msg = f"{name}.set_parameters: must be calibrated before, got nothing chosen yet"
            raise ValueError(msg)
        self.use(Setting(scale, self.setting().choices))

    @torch.jit.unused
    def tables(self, setting: Setting) -> tuple[Tensor, Tensor]:
        """Return levels and thresholds in units of the scale, float32."""
        levels = self.levels_of(setting).float()
        return levels, self._thresholds(len(levels), setting)

    @torch.jit.unused
    def error_of(self, setting: Setting, samples: Samples, cache: Tables) -> Tensor:
        """Return the squared error of each row; ``cache`` keeps tables for the next call."""
        key = tuple(setting.choices.items())
        if self.DEPENDS_ON_SCALE or key not in cache:
            cache[key] = self.tables(setting)
        levels, thresholds = cache[key]
        return samples.squared_error(levels, thresholds, setting.scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` fake-quantized, or ``x`` itself when not ``enabled``."""
        if not self.enabled:
            return x
        return fake_quant_levels(
            x,
            self.scale,
            self.levels,
            self.thresholds,
            channel_axis=self.channel_axis,
            grad_factor=self.grad_factor,
        )

    def extra_repr(self) -> str:
        """Return the bits, choices and channels for ``print``."""
        chosen = zip(self.CHOICES, self.chosen.tolist(), strict=True)
        parts = [f"bits={self.bits}", *(f"{name}={value:g}" for name, value in chosen)]
        channels = self.scale.numel()
        parts += [f"num_channels={channels}"] if channels > 1 else []
        return ", ".join(parts if self.enabled else [*parts, "enabled=False"])

    def _thresholds(self, num_levels: int, setting: Setting) -> Tensor:
        """Return the smallest float32 of each level but the first, by bisection over all of them.

        A level that none reaches begins at the largest float32.
        """
        wanted = torch.arange(1, num_levels)
        low = torch.full_like(wanted, -_LARGEST_KEY)
        high = torch.full_like(wanted, _LARGEST_KEY)
        while bool((low < high).any()):
            middle = (low + high) >> 1
            is_reached = self.index_of(_float_of(middle).double(), setting) >= wanted
            high = torch.where(is_reached, middle, high)
            low = torch.where(is_reached, low, middle + 1).minimum(high)
        return _float_of(high)


def _float_of(key: Tensor) -> Tensor:
    """Return the ``key``-th float32 counted from 0, negative ones below."""
    value = key.abs().to(torch.int32).view(torch.float32)
    return torch.where(key < 0, -value, value)


def check_scale(module: FakeQuant, scale: Tensor) -> None:
    """Check the scale of a setting.

    Raises:
        ValueError: If it has another shape than the module's, or is not positive and finite.
    """
    name = type(module).__name__
    if scale.shape != module.scale.shape:
        msg = (
            f"{name}.use: scale must have shape {tuple(module.scale.shape)}, "
            f"got {tuple(scale.shape)}"
        )
        raise ValueError(msg)
    if not bool((torch.isfinite(scale) & (scale >= 2.0**-126)).all()):
        msg = f"{name}.use: scale must be positive, finite and at least 2^-126, got {scale}"
        raise ValueError(msg)


def check_spec(
    name: str, spec: QuantSpec, scheme: str | None = None, granularity: str | None = None
) -> None:
    """Check that a quantizer can do what a rule asks for.

    Raises:
        ValueError: If there are more than 8 bits, or another scheme or granularity than required.
    """
    for what, required, got in (
        ("bits", "8 or fewer", spec.bits if spec.bits > 8 else None),
        ("scheme", scheme, spec.scheme if scheme not in (None, spec.scheme) else None),
        (
            "granularity",
            granularity,
            spec.granularity if granularity not in (None, spec.granularity) else None,
        ),
    ):
        if got is not None:
            msg = f"quantizer {name}: {what} must be {required}, got {got}"
            raise ValueError(msg)


def shrunk_scales(samples: Samples, largest_level: float) -> Iterator[Tensor]:
    """Yield 81 scales that put the largest level at 2 to 0.2 times each row's magnitude.

    Chosen: the factors, a geometric row. Those above 1 use the levels below the largest, which are
    denser.
    """
    whole = 2 * samples.magnitude / largest_level
    for step in range(81):
        yield usable_scale(whole * 0.1 ** (step / 80))


def usable_scale(scale: Tensor) -> Tensor:
    """Return positive float32 scales: 2^-23 for rows that are all zero, else at least 2^-126."""
    return torch.where(scale > 0, scale.clamp(min=2.0**-126), 2.0**-23).float()


def are_shares(samples: Samples) -> bool:
    """Tell whether all values are 0 to 1, as those of a softmax are."""
    return bool((samples.smallest >= 0).all()) and bool((samples.largest <= 1 + 1e-6).all())
