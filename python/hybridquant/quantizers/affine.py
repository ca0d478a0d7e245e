"""Affine fake-quantization: one scale and zero-point per tensor or per channel."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.ops import fake_quant_affine
from hybridquant.quantizers import QUANTIZERS, FakeQuant
from hybridquant.types import QuantSpec


@QUANTIZERS.register("affine")
class AffineFakeQuant(FakeQuant):
    """Rounds its input to the values that codes of ``[qmin, qmax]`` stand for.

    A new module is uncalibrated: its scales are NaN, and using it is a ValueError until
    ``set_parameters`` is called. Scales and zero-points are parameters that do not ask for
    gradients; switch them on to learn them.

    Args:
        qmin: Smallest code, at least -32768.
        qmax: Largest code, above ``qmin``, at most 65535.
        channel_axis: Axis of the input's channels, from the end if negative; ignored with one
            channel.
        num_channels: Number of scales: 1, or the size of the channel axis.
        grad_factor: Factor on the gradients of scale and zero-point.

    Shape:
        ``[*] -> [*]``.

    Raises:
        ValueError: If the codes or the number of channels are not as above.

    Example:
        >>> quantizer = AffineFakeQuant(0, 255)
        >>> quantizer.set_parameters(torch.tensor([0.5]), torch.tensor([128.0]))
        >>> quantizer(torch.tensor([0.1, 0.3, 1000.0]))
        tensor([ 0.0000,  0.5000, 63.5000])
    """

    def __init__(
        self,
        qmin: int,
        qmax: int,
        channel_axis: int = 0,
        num_channels: int = 1,
        grad_factor: float = 1.0,
    ) -> None:
        if not -32768 <= qmin < qmax <= 65535:
            msg = (
                "AffineFakeQuant: qmin and qmax must satisfy -32768 <= qmin < qmax <= 65535, "
                f"got {qmin} and {qmax}"
            )
            raise ValueError(msg)
        if num_channels < 1:
            msg = f"AffineFakeQuant: num_channels must be at least 1, got {num_channels}"
            raise ValueError(msg)
        super().__init__(num_channels)
        self.qmin = qmin
        self.qmax = qmax
        self.channel_axis = channel_axis
        self.grad_factor = grad_factor

    @classmethod
    def from_spec(cls, spec: QuantSpec, channel_axis: int, num_channels: int) -> AffineFakeQuant:
        """Return an uncalibrated module for ``spec``.

        Args:
            spec: Bits, scheme and granularity.
            channel_axis: Axis of the input's channels.
            num_channels: Size of that axis; used when the granularity is ``channel``.
        """
        channels = num_channels if spec.granularity == "channel" else 1
        return cls(spec.qmin, spec.qmax, channel_axis, channels)

    @torch.jit.unused
    def set_parameters(self, scale: Tensor, zero_point: Tensor) -> None:
        """Copy scales and zero-points in.

        Args:
            scale: Positive and finite, at least 2^-126, ``[num_channels]``.
            zero_point: Integers within [qmin, qmax], ``[num_channels]``.

        Raises:
            ValueError: If a shape or a value is not as above; nothing is copied then.
        """
        for name, given in (("scale", scale), ("zero_point", zero_point)):
            if given.shape != self.scale.shape:
                msg = (
                    f"set_parameters: {name} must have shape {tuple(self.scale.shape)}, "
                    f"got {tuple(given.shape)}"
                )
                raise ValueError(msg)
        scale, zero_point = scale.detach().float(), zero_point.detach().float()
        _check_all(
            "scale",
            scale,
            "be positive, finite and at least 2^-126",
            torch.isfinite(scale) & (scale >= 2.0**-126),
        )
        _check_all(
            "zero_point",
            zero_point,
            f"be an integer within [{self.qmin}, {self.qmax}]",
            (zero_point == zero_point.round())
            & (zero_point >= self.qmin)
            & (zero_point <= self.qmax),
        )
        with torch.no_grad():
            self.scale.copy_(scale)
            self.zero_point.copy_(zero_point)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` fake-quantized, or ``x`` itself when not ``enabled``."""
        if not self.enabled:
            return x
        return fake_quant_affine(
            x,
            self.scale,
            self.zero_point,
            self.qmin,
            self.qmax,
            channel_axis=self.channel_axis,
            grad_factor=self.grad_factor,
        )

    def get_extra_state(self) -> Tensor:
        """Return what a state_dict must agree on besides parameters, [qmin, qmax] as int64."""
        return torch.tensor([self.qmin, self.qmax])

    def set_extra_state(self, state: Tensor) -> None:
        """Check that a state_dict was made with the same codes.

        Raises:
            ValueError: If it was made with others.
        """
        if state.tolist() != [self.qmin, self.qmax]:
            msg = (
                f"load_state_dict: state must have codes [{self.qmin}, {self.qmax}], "
                f"got {state.tolist()}; prepare the graph with the recipe it was saved with"
            )
            raise ValueError(msg)

    def extra_repr(self) -> str:
        """Return the codes and channels for ``print``."""
        channels = self.scale.numel()
        axis = f", channel_axis={self.channel_axis}" if channels > 1 else ""
        off = "" if self.enabled else ", enabled=False"
        return f"[{self.qmin}, {self.qmax}], num_channels={channels}{axis}{off}"


def _check_all(name: str, given: Tensor, requirement: str, is_valid: Tensor) -> None:
    wrong = (~is_valid).nonzero()
    if wrong.numel():
        channel = int(wrong[0])
        msg = (
            f"set_parameters: {name} must {requirement}, "
            f"got {float(given[channel]):g} at channel {channel}"
        )
        raise ValueError(msg)
