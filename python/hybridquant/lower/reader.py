"""What lowering reads in a QuantGraph: codes of activations, weights, parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of, weight_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import AnyCodes, ChannelCodes, Codes
from hybridquant.lower.level_codes import LevelCodes, integer_levels, level_codes
from hybridquant.quant_graph import QuantGraph
from hybridquant.quantizers import FakeQuant
from hybridquant.quantizers.affine import AffineFakeQuant
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant

_FIRST_UINT16 = 32768


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight in codes: value ~ scale * codes.

    Args:
        value: float32.
        codes: int8 of its shape: codes less their zero-points.
        scale: float32, of sizes that broadcast with it.
        lowest: Smallest code less the zero-point, of sizes that broadcast with it.
        highest: Largest code less the zero-point.
    """

    value: Tensor
    codes: Tensor
    scale: Tensor
    lowest: Tensor
    highest: Tensor


class Reader:
    """Reads a calibrated QuantGraph.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: QuantGraph) -> None:
        self.graph = graph

    def format_of(self, argument: Any) -> AnyCodes | None:
        """Return the codes of a fake-quant node; None for any other.

        Raises:
            CannotLowerError: If its quantizer has a scale for each image, or levels with a scale
                for each channel.
        """
        module = self.fake_quant(argument)
        if module is None:
            return None
        if isinstance(module, LevelFakeQuant):
            return self._levels(argument, module).codes
        axis = module.channel_axis % len(argument.meta["shape"])
        if module.scale.numel() > 1 and axis == 0:
            msg = "has a scale for each image of a batch; use granularity: tensor or channel"
            raise CannotLowerError(msg)
        return _codes(module, axis)

    def levels_of(self, argument: Any) -> LevelCodes | None:
        """Return the levels of a fake-quant node in integers; None for any other.

        Raises:
            CannotLowerError: If it has a scale for each channel.
        """
        module = self.fake_quant(argument)
        return self._levels(argument, module) if isinstance(module, LevelFakeQuant) else None

    def _levels(self, argument: fx.Node, module: LevelFakeQuant) -> LevelCodes:
        if module.scale.numel() > 1:
            msg = "has levels with a scale for each channel; use granularity: tensor"
            raise CannotLowerError(msg)
        source = args_of(argument)[0]
        while source.meta["kind"] in LAYOUT_KINDS:
            source = args_of(source)[0]
        return level_codes(module, reads_shares=source.meta["kind"] == "softmax")

    def source_of(self, argument: fx.Node) -> fx.Node:
        """Return the node whose value a fake-quant node's codes are asked of.

        It is the node itself where that has levels, else what it reads.
        """
        is_levels = isinstance(self.fake_quant(argument), LevelFakeQuant)
        source: fx.Node = argument if is_levels else args_of(argument)[0]
        return source

    def fake_quant(self, argument: Any) -> AffineFakeQuant | LevelFakeQuant | None:
        """Return the module of a fake-quant node; None for any other.

        Raises:
            CannotLowerError: If its quantizer is neither affine nor has levels.
        """
        if not isinstance(argument, fx.Node) or argument.op != "call_module":
            return None
        module = self.graph.get_submodule(str(argument.target))
        if not isinstance(module, FakeQuant) or not module.enabled:
            return None
        if not isinstance(module, AffineFakeQuant | LevelFakeQuant):
            kind = type(module).__name__
            msg = f"has quantizer {kind}, and only affine codes and levels are lowered"
            raise CannotLowerError(msg)
        return module

    def quantized_weight(self, node: fx.Node) -> QuantizedWeight:
        """Return the weight that an operator multiplies with, in codes.

        Raises:
            CannotLowerError: If its codes less their zero-points are not integers of 8 bits.
        """
        argument = args_of(node)[1]
        module = self.fake_quant(argument)
        if module is None:
            msg = "its weight has no fake-quant module; let a rule of the recipe quantize it"
            raise CannotLowerError(msg)
        value = weight_of(self.graph, args_of(argument)[0]).detach()
        axis = module.channel_axis if module.scale.numel() > 1 else 0
        sizes = [-1 if i == axis % value.ndim else 1 for i in range(value.ndim)]
        scale = module.scale.detach().float().reshape(sizes)
        if isinstance(module, LevelFakeQuant):
            return _weight_of_levels(value, scale, module)
        zero_point = module.zero_point.detach().round().clamp(module.qmin, module.qmax)
        ends = [code - zero_point.reshape(sizes) for code in (module.qmin, module.qmax)]
        # By the float32 reciprocal, as docs/arithmetic.md has it: the codes of the simulation.
        codes = torch.round(value * (1 / scale)).clamp(*ends)
        least, most = int(codes.min()), int(codes.max())
        if module.qmax - module.qmin > 255 or least < -128 or most > 127:
            codes_text = f"codes from {module.qmin} to {module.qmax}"
            less = f", {least} to {most} less their zero-points" if zero_point.any() else ""
            msg = (
                f"its weight must have signed codes of at most 8 bits, got {codes_text}{less}; "
                "use scheme: symmetric and bits: 8 or fewer, or at most 7 bits"
            )
            raise CannotLowerError(msg)
        return QuantizedWeight(value, codes.to(torch.int8), scale, *ends)

    def parameter(self, node: fx.Node, position: int) -> Tensor | None:
        """Return a parameter that an operator reads as it is, float64; None where it has none."""
        arguments = args_of(node)
        argument = arguments[position] if position < len(arguments) else None
        if argument is None:
            return None
        if not isinstance(argument, fx.Node) or argument.op != "get_attr":
            msg = f"input {position} must be a parameter"
            raise CannotLowerError(msg)
        return weight_of(self.graph, argument).detach().double()

    def constant_of(self, node: fx.Node, position: int) -> Tensor:
        """Return a parameter that an operator reads, float64, as its fake-quant module leaves it.

        Raises:
            CannotLowerError: If it reads no parameter there.
        """
        argument = args_of(node)[position]
        is_call = isinstance(argument, fx.Node) and argument.op == "call_module"
        source = args_of(argument)[0] if is_call else argument
        if not isinstance(source, fx.Node) or source.op != "get_attr":
            msg = f"input {position} must be a parameter"
            raise CannotLowerError(msg)
        value = weight_of(self.graph, source).detach()
        if is_call:
            value = self.graph.get_submodule(str(argument.target))(value).detach()
        return value.double()

    def format_or_none(self, argument: fx.Node) -> AnyCodes | None:
        """Return the codes of a fake-quant node; None where it has none that can be lowered."""
        try:
            return self.format_of(argument)
        except CannotLowerError:
            return None


def _weight_of_levels(value: Tensor, scale: Tensor, module: LevelFakeQuant) -> QuantizedWeight:
    """Return the levels of a weight as int8 codes.

    Raises:
        CannotLowerError: If a level that it has is no such code.
    """
    found = integer_levels(module.levels.double(), 2**30)
    got = "more than 30 bits"
    if found is not None:
        t = (value * (1 / scale)).contiguous()
        codes = found[0][torch.bucketize(t, module.thresholds, right=True)]
        least, most = int(codes.min()), int(codes.max())
        got = f"{least} to {most}"
    if found is None or least < -128 or most > 127:
        kind = type(module).__name__
        msg = (
            f"its weight must have levels that are integers of 8 bits on one grid, got {got}, "
            f"those of {kind} with bits: {module.bits}; use fewer bits, or for apot the option "
            "int8: true"
        )
        raise CannotLowerError(msg)
    integers, step = found
    ends = (integers.min().float(), integers.max().float())
    return QuantizedWeight(value, codes.to(torch.int8), scale * step, *ends)


def _codes(module: AffineFakeQuant, axis: int) -> AnyCodes:
    """Return what a fake-quant module's codes mean; 16 unsigned bits are moved to signed ones."""
    qmin, qmax = module.qmin, module.qmax
    moved = _FIRST_UINT16 if qmax > 32767 else 0
    zero_points = [int(z) - moved for z in module.zero_point.round().clamp(qmin, qmax)]
    qmin, qmax = qmin - moved, qmax - moved
    if qmin >= 0 and qmax <= 255:
        dtype = "uint8"
    elif qmin >= -128 and qmax <= 127:
        dtype = "int8"
    else:
        dtype = "int16"
    scales = tuple(module.scale.tolist())
    if len(scales) == 1:
        return Codes(dtype, scales[0], zero_points[0], qmin, qmax)
    return ChannelCodes(dtype, axis, scales, tuple(zero_points), qmin, qmax)
