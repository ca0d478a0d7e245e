"""From a QuantGraph to an IntGraph, from the logits backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import fx

from hybridquant.capture.graph import args_of, shape_for_one, weight_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.lower.builder import Builder, C, ChannelOperand, Form, Operand
from hybridquant.lower.errors import CannotLowerError, LoweringError
from hybridquant.lower.float_operators import FloatNames
from hybridquant.lower.int_graph import AnyCodes, ChannelCodes, Codes, IntGraph
from hybridquant.quant_graph import QuantGraph
from hybridquant.registry import Registry

# A value in codes that a reader wants.
_Wish = tuple[fx.Node, AnyCodes]


class Lowering(Builder):
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
        self._done: dict[_Wish, Form[Any]] = {}
        self._asked: dict[_Wish, list[_Wish]] = {}
        self._problems: dict[_Wish, str] = {}
        self._behind_problems: list[_Wish] = []
        self._stack: list[_Wish] = []
        (image,) = graph.graph.find_nodes(op="placeholder")
        codes = Codes("uint8", 1 / 255, 0, 0, 255)
        self.image = self.add_tensor("image", shape_for_one(image), codes)
        self.result.input = self.image.name

    def operand(self, node: fx.Node, position: int) -> Operand:
        """Return an input of an operator in codes of one scale.

        They are those of its fake-quant module; where that has a scale for each channel, int16
        codes of the same values.

        Raises:
            CannotLowerError: If it has none.
        """
        return self.quantized(args_of(node)[position], f"input {position}")

    def operand_by_channel(self, node: fx.Node, position: int, axis: int) -> Form[AnyCodes]:
        """Return an input of an operator in the codes of its fake-quant module.

        Args:
            node: The operator.
            position: Of the input.
            axis: Of channels that may have a scale each; with those of another axis the input is
                that of ``operand``.

        Raises:
            CannotLowerError: If it has none.
        """
        argument = args_of(node)[position]
        codes = self.format_of(argument)
        if isinstance(codes, ChannelCodes) and codes.axis == axis:
            return self.codes_of(self.source_of(argument), codes)
        return self.operand(node, position)

    def quantized(self, argument: Any, what: str) -> Operand:
        """Return what a fake-quant node stands for, in codes of one scale.

        Raises:
            CannotLowerError: If ``argument`` is none.
        """
        codes = self.format_of(argument)
        if codes is None:
            msg = f"{what} has no fake-quant module; let a rule of the recipe quantize it"
            raise CannotLowerError(msg)
        if isinstance(codes, ChannelCodes):
            return self.codes_of(argument, codes.common())
        return self.codes_of(self.source_of(argument), codes)

    def codes_of(self, node: fx.Node, wanted: C) -> Form[C]:
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
                    self.codes_of(self.source_of(node), codes)

    def finish(self, logits: fx.Node, wanted: Codes) -> IntGraph:
        """Return the integer model of what ``logits`` reads.

        Raises:
            LoweringError: If an operator cannot become integer; the text lists all in their order.
        """
        self.result.output = self.codes_of(logits, wanted).name
        while self._behind_problems:
            self.codes_of(*self._behind_problems.pop())
        needed: set[_Wish] = set()
        left: list[_Wish] = [(logits, wanted)]
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

    def _failed(self, form: _Wish, error: Exception) -> Form[Any]:
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
        return Form[Any](node.name, shape_for_one(node), wanted)

    def _lower(self, node: fx.Node, wanted: AnyCodes) -> Form[Any]:
        kind = node.meta["kind"]
        if kind == "parameter":
            return self.constant(node.name, wanted.quantize(weight_of(self.graph, node)), wanted)
        if self.fake_quant(node) is not None:
            levels = self.levels_of(node)
            if levels is not None and wanted == levels.codes:
                return LOWERINGS["levels"](self, node, levels.codes)
            # Two quantizers in a row: the second reads the values of the first.
            return self.recoded(node, wanted)
        if node.op == "call_module":
            return self.codes_of(args_of(node)[0], wanted)
        if isinstance(wanted, ChannelCodes):
            return self._lower_by_channel(node, wanted)
        if node in self.float_names:
            return LOWERINGS["external"](self, node, wanted)
        name = _name(node)
        if name not in LOWERINGS.names():
            msg = "has no integer form yet; replace it, or keep it in float by allow_float"
            raise CannotLowerError(msg)
        return LOWERINGS[name](self, node, wanted)

    def _lower_by_channel(self, node: fx.Node, wanted: ChannelCodes) -> ChannelOperand:
        """Return codes with a scale for each channel, where need be from int16 codes of one."""
        name, made = _name(node), None
        if name in CHANNEL_LOWERINGS.names() and node not in self.float_names:
            made = CHANNEL_LOWERINGS[name](self, node, wanted)
        if made is None:
            made = self.requantized(node, self.codes_of(node, wanted.common()), wanted)
        return made

    def recoded(self, argument: fx.Node, wanted: C) -> Form[C]:
        """Return an argument whose codes are moved, in other codes: with one rounding at most."""
        codes = self.format_of(argument)
        if codes is None:
            return self.codes_of(argument, wanted)
        x: Form[Any] = self.codes_of(self.source_of(argument), codes)
        return self.requantized(argument, x, wanted)


def _name(node: fx.Node) -> str:
    """Return the name of the lowering of an operator."""
    kind = str(node.meta["kind"])
    return "move" if kind in LAYOUT_KINDS else kind


Lower = Callable[[Lowering, fx.Node, Codes], Operand]
LowerByChannel = Callable[[Lowering, fx.Node, ChannelCodes], ChannelOperand | None]

LOWERINGS: Registry[Lower] = Registry("integer node", "hybridquant.lower.nodes")
# Of operators that can write codes with a scale for each channel, where these are what is wanted;
# None where they are others, such as those of another axis.
CHANNEL_LOWERINGS: Registry[LowerByChannel] = Registry("integer node", "hybridquant.lower.nodes")
