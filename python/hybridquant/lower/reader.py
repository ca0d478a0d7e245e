"""What lowering reads in a QuantGraph: codes of activations, weights, parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of, weight_of
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import Codes
from hybridquant.quant_graph import QuantGraph
from hybridquant.quantizers import FakeQuant
from hybridquant.quantizers.affine import AffineFakeQuant

_FIRST_UINT16 = 32768


class Reader:
    """Reads a calibrated QuantGraph.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: QuantGraph) -> None:
        self.graph = graph

    def format_of(self, argument: Any) -> Codes | None:
        """Return the codes of a fake-quant node; None for any other.

        Raises:
            CannotLowerError: If it has a scale for each channel.
        """
        module = self.fake_quant(argument)
        if module is None:
            return None
        if module.scale.numel() > 1:
            msg = "has a scale for each channel of an activation; use granularity: tensor"
            raise CannotLowerError(msg)
        return _codes(module)

    def fake_quant(self, argument: Any) -> AffineFakeQuant | None:
        """Return the module of a fake-quant node; None for any other.

        Raises:
            CannotLowerError: If its quantizer is not affine.
        """
        if not isinstance(argument, fx.Node) or argument.op != "call_module":
            return None
        module = self.graph.get_submodule(str(argument.target))
        if not isinstance(module, FakeQuant) or not module.enabled:
            return None
        if not isinstance(module, AffineFakeQuant):
            msg = f"has quantizer {type(module).__name__}, and only affine codes are lowered"
            raise CannotLowerError(msg)
        return module

    def weight(self, node: fx.Node) -> tuple[Tensor, Tensor]:
        """Return the codes of a weight, int8 of its shape, and the scales, float64 [channels].

        Raises:
            CannotLowerError: If it is not quantized symmetrically to at most 8 bits.
        """
        weight, module = self.quantized_weight(node)
        scale = module.scale.detach().float()
        sizes = [-1] + [1] * (weight.ndim - 1)
        # By the float32 reciprocal, as docs/arithmetic.md has it: the codes of the simulation.
        codes = torch.round(weight * (1 / scale).reshape(sizes)).clamp(module.qmin, module.qmax)
        return codes.to(torch.int8), scale.double().expand(len(weight)).contiguous()

    def quantized_weight(self, node: fx.Node) -> tuple[Tensor, AffineFakeQuant]:
        """Return the weight that an operator multiplies with, and its fake-quant module.

        Raises:
            CannotLowerError: If it is not quantized symmetrically to at most 8 bits.
        """
        argument = args_of(node)[1]
        module = self.fake_quant(argument)
        if module is None:
            msg = "its weight has no fake-quant module; let a rule of the recipe quantize it"
            raise CannotLowerError(msg)
        if module.zero_point.any() or module.qmin < -128 or module.qmax > 127:
            codes = f"codes from {module.qmin} to {module.qmax}"
            found = "zero-points" if module.zero_point.any() else codes
            msg = (
                "its weight must have signed codes of at most 8 bits, got "
                f"{found}; use scheme: symmetric and bits: 8 or fewer"
            )
            raise CannotLowerError(msg)
        return weight_of(self.graph, args_of(argument)[0]).detach(), module

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

    def format_or_none(self, argument: fx.Node) -> Codes | None:
        """Return the codes of a fake-quant node; None where it has none that can be lowered."""
        try:
            return self.format_of(argument)
        except CannotLowerError:
            return None


def shape_for_one(node: fx.Node) -> tuple[int, ...]:
    """Return the sizes of a node's value for one image."""
    factor = node.meta["batch_factor"]
    return tuple(factor if size == -1 else size for size in node.meta["shape"])


def _codes(module: AffineFakeQuant) -> Codes:
    """Return what a fake-quant module's codes mean; 16 unsigned bits are moved to signed ones."""
    qmin, qmax = module.qmin, module.qmax
    scale, zero_point = float(module.scale), int(module.zero_point.round().clamp(qmin, qmax))
    if qmax > 32767:
        qmin, qmax = qmin - _FIRST_UINT16, qmax - _FIRST_UINT16
        zero_point -= _FIRST_UINT16
    if qmin >= 0 and qmax <= 255:
        dtype = "uint8"
    elif qmin >= -128 and qmax <= 127:
        dtype = "int8"
    else:
        dtype = "int16"
    return Codes(dtype, scale, zero_point, qmin, qmax)
