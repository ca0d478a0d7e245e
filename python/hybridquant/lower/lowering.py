"""From a QuantGraph to an IntGraph, from the logits backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of, weight_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.lower.int_graph import DTYPES, Codes, IntGraph, IntNode, IntTensor
from hybridquant.quant_graph import QuantGraph
from hybridquant.quantizers import FakeQuant
from hybridquant.quantizers.affine import AffineFakeQuant
from hybridquant.registry import Registry

_FIRST_UINT16 = 32768


class CannotLowerError(Exception):
    """Raised by a lowering; the text says why and what to do."""


@dataclass(frozen=True)
class Operand:
    """An operator's input in integers.

    Args:
        name: Of the tensor in the IntGraph.
        shape: Sizes for one image.
        codes: What its codes mean.
    """

    name: str
    shape: tuple[int, ...]
    codes: Codes


class Lowering:
    """Builds an IntGraph; what the lowerings of the operators work with.

    A value of the QuantGraph has as many integer forms as its readers ask for: ``codes_of`` makes
    the one that is asked for once, and gives it to all who ask for the same.
    """

    def __init__(self, graph: QuantGraph, mean: Sequence[float], std: Sequence[float]) -> None:
        self.graph = graph
        self.mean, self.std = mean, std
        self.result = IntGraph()
        self.problems: list[str] = []
        self._done: dict[tuple[fx.Node, Codes], Operand] = {}
        (image,) = graph.graph.find_nodes(op="placeholder")
        codes = Codes("uint8", 1 / 255, 0, 0, 255)
        self.image = self._add(IntTensor("image", shape_for_one(image), codes))
        self.result.input = self.image.name

    def operand(self, node: fx.Node, position: int) -> Operand:
        """Return an input of an operator in the codes of its fake-quant module.

        Raises:
            CannotLowerError: If it has none, or one with a scale for each channel.
        """
        return self.quantized(args_of(node)[position], f"input {position}")

    def operand_or_sums(self, node: fx.Node, position: int) -> Operand:
        """Return the same; without a fake-quant module, the exact sums of the product before it.

        Raises:
            CannotLowerError: If it has neither.
        """
        argument = args_of(node)[position]
        sums = None if self.fake_quant(argument) else self.sums_of(argument)
        return self.operand(node, position) if sums is None else self.codes_of(argument, sums)

    def sums_of(self, node: Any) -> Codes | None:
        """Return the codes that hold a product's sums as they are; None where there are none.

        They pass through operators that move codes or add a number.
        """
        kind = node.meta["kind"] if isinstance(node, fx.Node) else ""
        if kind in LAYOUT_KINDS or (kind == "add" and not isinstance(node.args[1], fx.Node)):
            return self.sums_of(args_of(node)[0])
        if kind != "matmul":
            return None
        x, y = (self.operand_or_sums(node, position) for position in (0, 1))
        largest = x.shape[-1] * x.codes.magnitude * y.codes.magnitude
        return Codes("int64", x.codes.scale * y.codes.scale, 0, -largest, largest)

    def quantized(self, argument: Any, what: str) -> Operand:
        """Return the codes that a fake-quant node stands for.

        Raises:
            CannotLowerError: If ``argument`` is none, or has a scale for each channel.
        """
        codes = self.format_of(argument)
        if codes is None:
            msg = f"{what} has no fake-quant module; let a rule of the recipe quantize it"
            raise CannotLowerError(msg)
        return self.codes_of(args_of(argument)[0], codes)

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

    def weight(self, node: fx.Node, position: int) -> tuple[Tensor, Tensor]:
        """Return the codes of a weight, int8 of its shape, and the scales, float64 [channels].

        Raises:
            CannotLowerError: If it is not quantized symmetrically to at most 8 bits.
        """
        argument = args_of(node)[position]
        module = self.fake_quant(argument)
        if module is None:
            msg = "its weight has no fake-quant module; let a rule of the recipe quantize it"
            raise CannotLowerError(msg)
        weight = weight_of(self.graph, args_of(argument)[0]).detach()
        if module.zero_point.any() or module.qmin < -128 or module.qmax > 127:
            msg = "its weight must have signed codes of at most 8 bits; use scheme: symmetric"
            raise CannotLowerError(msg)
        scale = module.scale.detach().float()
        sizes = [-1] + [1] * (weight.ndim - 1)
        # By the float32 reciprocal, as docs/arithmetic.md has it: the codes of the simulation.
        codes = torch.round(weight * (1 / scale).reshape(sizes)).clamp(module.qmin, module.qmax)
        scales = scale.double()
        return codes.to(torch.int8), scales.expand(len(weight)).contiguous()

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

    def codes_of(self, node: fx.Node, wanted: Codes) -> Operand:
        """Return the value of ``node`` in the codes that are wanted.

        Where that cannot be, the problem is noted and something stands in for it.
        """
        key = (node, wanted)
        if key not in self._done:
            try:
                self._done[key] = self._lower(node, wanted)
            except CannotLowerError as error:
                self._done[key] = self._failed(node, wanted, error)
        return self._done[key]

    def _failed(self, node: fx.Node, wanted: Codes, error: CannotLowerError) -> Operand:
        """Note a problem, look for more behind it, and return something to go on with."""
        where = f"module {node.meta['path']!r}" if node.meta["path"] else "the model's own forward"
        self.problems.append(f"{node.meta['kind']} {node.name} in {where} {error}")
        for argument in node.all_input_nodes:
            source = args_of(argument)[0] if self.fake_quant(argument) else argument
            if source.meta["kind"] not in ("parameter", "input"):
                self.codes_of(source, self._any_codes(argument) or wanted)
        return Operand(node.name, shape_for_one(node), wanted)

    def _any_codes(self, argument: fx.Node) -> Codes | None:
        module = self.fake_quant(argument)
        return None if module is None or module.scale.numel() > 1 else _codes(module)

    def _lower(self, node: fx.Node, wanted: Codes) -> Operand:
        kind = node.meta["kind"]
        if kind == "parameter":
            return self.constant(node.name, wanted.quantize(weight_of(self.graph, node)), wanted)
        if self.fake_quant(node) is not None:
            # Two quantizers in a row: the second reads the values of the first.
            return LOWERINGS["requantize"](self, node, wanted)
        if node.op == "call_module":
            return self.codes_of(args_of(node)[0], wanted)
        name = "input" if kind == "input" else "move" if kind in LAYOUT_KINDS else kind
        if name not in LOWERINGS.names():
            msg = "has no integer form yet; replace it, or quantize a model without it"
            raise CannotLowerError(msg)
        return LOWERINGS[name](self, node, wanted)

    def constant(self, name: str, value: Tensor, codes: Codes) -> Operand:
        """Add a constant tensor of codes and return it."""
        stored = value.to(DTYPES[codes.dtype]).contiguous()
        return self._add(IntTensor(self._free(name), tuple(value.shape), codes, stored))

    def add(
        self,
        op: str,
        node: fx.Node,
        inputs: Sequence[Operand],
        codes: Codes,
        attributes: Mapping[str, Any] | None = None,
        constants: Mapping[str, Tensor] | None = None,
        shape: Sequence[int] | None = None,
    ) -> Operand:
        """Add a node and return its output.

        Args:
            op: Kind of the node.
            node: The QuantGraph's node that it computes.
            inputs: What it reads.
            codes: What its output's codes mean.
            attributes: Of the node.
            constants: Of the node.
            shape: Of the output for one image; by default that of ``node``.
        """
        sizes = shape_for_one(node) if shape is None else tuple(shape)
        output = self._add(IntTensor(self._free(node.name), sizes, codes))
        names = tuple(operand.name for operand in inputs)
        path = node.meta["path"]
        made = IntNode(op, names, output.name, path, dict(attributes or {}), dict(constants or {}))
        self.result.nodes.append(made)
        return output

    def _add(self, tensor: IntTensor) -> Operand:
        self.result.tensors[tensor.name] = tensor
        return Operand(tensor.name, tensor.shape, tensor.codes)

    def _free(self, name: str) -> str:
        taken, number = name, 1
        while taken in self.result.tensors:
            number += 1
            taken = f"{name}_{number}"
        return taken


Lower = Callable[[Lowering, fx.Node, Codes], Operand]

LOWERINGS: Registry[Lower] = Registry("integer node", "hybridquant.lower.nodes")


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
