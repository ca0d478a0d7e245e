"""From a QuantGraph to an IntGraph, from the logits backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from hybridquant.capture.graph import args_of, weight_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.lower.errors import CannotLowerError, LoweringError
from hybridquant.lower.fixed_point import check_requantized, multiplier
from hybridquant.lower.float_operators import FloatNames
from hybridquant.lower.int_graph import DTYPES, Codes, IntGraph, IntNode, IntTensor
from hybridquant.lower.reader import Reader, shape_for_one
from hybridquant.quant_graph import QuantGraph
from hybridquant.registry import Registry

# A value in codes that a reader wants.
_Form = tuple[fx.Node, Codes]


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


class Lowering(Reader):
    """Builds an IntGraph; what the lowerings of the operators work with.

    A value of the QuantGraph has as many integer forms as its readers ask for: ``codes_of`` makes
    the one that is asked for once, and gives it to all who ask for the same. Who asked for what is
    kept, so that ``finish`` can leave out what the logits do not need.
    """

    def __init__(
        self,
        graph: QuantGraph,
        mean: Sequence[float],
        std: Sequence[float],
        allow_float: Sequence[str] = (),
    ) -> None:
        super().__init__(graph)
        self.mean, self.std = mean, std
        self.float_names = FloatNames(allow_float, graph)
        self.result = IntGraph()
        self._done: dict[_Form, Operand] = {}
        self._asked: dict[_Form, list[_Form]] = {}
        self._problems: dict[_Form, str] = {}
        self._behind_problems: list[_Form] = []
        self._stack: list[_Form] = []
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

    def codes_of(self, node: fx.Node, wanted: Codes) -> Operand:
        """Return the value of ``node`` in the codes that are wanted.

        Where that cannot be, the problem is noted and something stands in for it.
        """
        form = (node, wanted)
        if self._stack:
            self._asked[self._stack[-1]].append(form)
        if form not in self._done:
            self._asked[form] = []
            self._stack.append(form)
            try:
                self._done[form] = self._lower(node, wanted)
            except (CannotLowerError, ValueError) as error:
                self._done[form] = self._failed(form, error)
            finally:
                self._stack.pop()
        return self._done[form]

    def prepare(self) -> None:
        """Make the codes of all quantized activations, first those of the first operators.

        Each then finds what it reads, so that deep models need no deep recursion.
        """
        for node in self.graph.graph.nodes:
            if node.op == "call_module":
                codes, source = self.format_or_none(node), args_of(node)[0]
                if codes is not None and source.meta["kind"] != "parameter":
                    self.codes_of(source, codes)

    def finish(self, logits: fx.Node, wanted: Codes) -> IntGraph:
        """Return the integer model of what ``logits`` reads.

        Raises:
            LoweringError: If an operator cannot become integer; the text lists all in their order.
        """
        self.result.output = self.codes_of(logits, wanted).name
        while self._behind_problems:
            self.codes_of(*self._behind_problems.pop())
        needed, left = set(), [(logits, wanted)]
        while left:
            form = left.pop()
            if form not in needed:
                needed.add(form)
                left += self._asked[form]
        order = {node: index for index, node in enumerate(self.graph.graph.nodes)}
        found = sorted(needed & self._problems.keys(), key=lambda form: order[form[0]])
        if found:
            raise LoweringError(list(dict.fromkeys(self._problems[form] for form in found)))
        result = self.result.pruned()
        self.float_names.check_kept(result.functions.values())
        return result

    def _failed(self, form: _Form, error: Exception) -> Operand:
        """Note a problem, and what to look at behind it; return something to go on with."""
        node, wanted = form
        where = f"module {node.meta['path']!r}" if node.meta["path"] else "the model's own forward"
        self._problems[form] = f"{node.meta['kind']} {node.name} in {where} {error}"
        for argument in node.all_input_nodes:
            source = args_of(argument)[0] if argument.op == "call_module" else argument
            if source.meta["kind"] not in ("parameter", "input"):
                behind = (source, self.format_or_none(argument) or wanted)
                self._asked[form].append(behind)
                self._behind_problems.append(behind)
        return Operand(node.name, shape_for_one(node), wanted)

    def _lower(self, node: fx.Node, wanted: Codes) -> Operand:
        kind = node.meta["kind"]
        if kind == "parameter":
            return self.constant(node.name, wanted.quantize(weight_of(self.graph, node)), wanted)
        if self.fake_quant(node) is not None:
            # Two quantizers in a row: the second reads the values of the first.
            return LOWERINGS["requantize"](self, node, wanted)
        if node.op == "call_module":
            return self.codes_of(args_of(node)[0], wanted)
        if node in self.float_names:
            return LOWERINGS["external"](self, node, wanted)
        name = "input" if kind == "input" else "move" if kind in LAYOUT_KINDS else kind
        if name not in LOWERINGS.names():
            msg = "has no integer form yet; replace it, or keep it in float by allow_float"
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
            shape: Of the output for one image; by default that of ``node``. Another is a part of
                it, or a step on the way to it, and its name ends in ``op`` if that is another kind.
        """
        own = shape_for_one(node)
        sizes = own if shape is None else tuple(shape)
        name = node.name if sizes == own or op == node.meta["kind"] else f"{node.name}_{op}"
        output = self._add(IntTensor(self._free(name), sizes, codes))
        names = tuple(operand.name for operand in inputs)
        path = node.meta["path"]
        made = IntNode(op, names, output.name, path, dict(attributes or {}), dict(constants or {}))
        self.result.nodes.append(made)
        return output

    def recoded(self, argument: fx.Node, wanted: Codes) -> Operand:
        """Return an argument whose codes are moved, in other codes: with one rounding at most."""
        codes = self.format_of(argument)
        if codes is None:
            return self.codes_of(argument, wanted)
        x = self.codes_of(args_of(argument)[0], codes)
        return self.requantized(argument, x, wanted)

    def reshaped(self, node: fx.Node, x: Operand, shape: Sequence[int]) -> Operand:
        """Return ``x`` with another shape."""
        if x.shape == tuple(shape):
            return x
        return self.add("reshape", node, [x], x.codes, {"shape": list(shape)}, shape=shape)

    def swapped(self, node: fx.Node, x: Operand, axis: int) -> Operand:
        """Return ``x`` with ``axis`` and the last axis swapped."""
        axes = list(range(len(x.shape)))
        axes[axis], axes[-1] = axes[-1], axes[axis]
        if axes == sorted(axes):
            return x
        shape = [x.shape[i] for i in axes]
        return self.add("permute", node, [x], x.codes, {"axes": axes}, shape=shape)

    def requantized(self, node: fx.Node, x: Operand, wanted: Codes, factor: float = 1.0) -> Operand:
        """Return ``factor`` times ``x``, the value of ``node``, in other codes."""
        if x.codes == wanted and factor == 1:
            return x
        m, shift = multiplier(x.codes.scale * factor / wanted.scale)
        check_requantized(x.codes.magnitude, m, shift)
        attributes = {"m": m, "shift": shift}
        return self.add("requantize", node, [x], wanted, attributes, shape=x.shape)

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
