"""One operator on calibration images, to be tried with different settings of its quantizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from hybridquant.capture.cost import num_elements
from hybridquant.capture.graph import args_of, weight_of
from hybridquant.layerwise.multiplications import Multiplication
from hybridquant.layerwise.similarity import Metric, loss_of, separates
from hybridquant.layerwise.sweep import Batch, Visit
from hybridquant.quant_graph import QuantGraph
from hybridquant.quantizers import FakeQuant

# Values of an operand or result that are looked at together: they stay in the cache.
_CHUNK = 2**18
Importance = Mapping[fx.Node, Tensor]


@dataclass(frozen=True)
class _Chunk:
    """Some images: what the operator reads, before quantization, and what it makes in float."""

    operands: tuple[Tensor, Tensor]
    target: Tensor
    importance: Tensor | None
    images: int


class Trial:
    """What an operator loses by quantization, under the settings that its quantizers have now.

    Args:
        graph: The graph.
        operator: The operator; its result has an axis of images.
        metric: How the loss is measured.
        chunks: The images.
    """

    def __init__(
        self,
        graph: QuantGraph,
        operator: Multiplication,
        metric: Metric,
        chunks: Sequence[_Chunk],
    ) -> None:
        self.operator = operator
        self._metric = metric
        self._chunks = chunks
        self._batch_axes = tuple(_batch_axis(operator.node.args[i]) for i in (0, 1))
        self._modules = tuple(
            None if edge is None else graph.module_of(edge) for edge in operator.edges
        )
        rest = args_of(operator.node)[2:]
        self._bias = None if not rest or rest[0] is None else weight_of(graph, rest[0])
        self._result_axis = _batch_axis(operator.node)

    def positions(self, module: FakeQuant) -> list[int]:
        """Return which operands ``module`` quantizes."""
        return [i for i in (0, 1) if self._modules[i] is module]

    def operands(self, position: int) -> list[Tensor]:
        """Return the values of an operand before quantization, some images each."""
        if self._batch_axes[position] is None:
            return [self._chunks[0].operands[position]]
        return [chunk.operands[position] for chunk in self._chunks]

    def result_axis(self, module: FakeQuant) -> int | None:
        """Return the axis of the result whose slices need one scale of ``module`` each, or None."""
        axes = {self.operator.result_axis(position) for position in self.positions(module)}
        return axes.pop() if len(axes) == 1 and separates(self._metric) else None

    def loss_under(self, module: FakeQuant, axis: int | None) -> Callable[[Tensor], Tensor]:
        """Return a function that measures the loss under the settings that ``module`` has then.

        The other operand is quantized once, now. The function takes a bound, float64 [1] or [n]: it
        stops, and returns the loss of some of the images, where every loss reaches it.

        Args:
            module: The quantizer whose settings are going to change.
            axis: Of the result, with a loss for each index; None for one loss.
        """
        moving = self.positions(module)
        fixed = [
            tuple(self._quantized(i, chunk) if i not in moving else None for i in (0, 1))
            for chunk in self._chunks
        ]

        def loss(bound: Tensor) -> Tensor:
            constant = {i: self._constant(i) for i in moving if self._batch_axes[i] is None}
            total = torch.zeros(1, dtype=torch.float64)
            for chunk, kept in zip(self._chunks, fixed, strict=True):
                left, right = (
                    constant[i] if i in constant else self._quantized(i, chunk) if value is None
                    else value
                    for i, value in enumerate(kept)
                )  # fmt: skip
                total = total + self._chunk_loss(left, right, chunk, axis)
                if bool((total >= bound).all()):
                    break
            return total

        return loss

    def _chunk_loss(self, left: Tensor, right: Tensor, chunk: _Chunk, axis: int | None) -> Tensor:
        result = self.operator.compute(left, right, self._bias)
        batch = (self._result_axis or 0, chunk.images)
        rows_axis = self.operator.rows_axis
        return loss_of(self._metric, result, chunk.target, chunk.importance, axis, batch, rows_axis)

    def _constant(self, position: int) -> Tensor:
        return self._quantized(position, self._chunks[0])

    def _quantized(self, position: int, chunk: _Chunk) -> Tensor:
        module, value = self._modules[position], chunk.operands[position]
        if module is None:
            return value
        result: Tensor = module(value)
        return result


def trial_of(
    visit: Visit,
    operator: Multiplication,
    metric: Metric,
    importance: Importance,
    is_float: bool,
    values: int | None = None,
) -> Trial:
    """Return an operator of a visited unit with the images of the sweep.

    Args:
        visit: Where the sweep has stopped.
        operator: An operator of its unit.
        metric: How the loss is measured.
        importance: Factor on the errors of each operator's result, for ``hessian``; the images
            along the axis that the result has them on, or one for all of them.
        is_float: Whether the operator reads what it would in float; else what the operators before
            leave it, quantized as they are by now.
        values: Every second image, or every third and so on, is taken where the results of all
            would be more values than this; all if None.
    """
    total = sum(images_in(batch) for batch in visit.batches)
    an_image = num_elements(operator.node)
    stride = 1 if values is None else -(-total // max(1, min(total, values // an_image)))
    chunks: list[_Chunk] = []
    start = 0
    for batch in visit.batches:
        read = batch.floats if is_float else batch.values
        operands = tuple(_raw(visit.graph, operator.node.args[i], read) for i in (0, 1))
        target = visit.run_float(batch.floats)[operator.node]
        factors = importance.get(operator.node)
        chunks += _cut(operator.node, operands, target, factors, start, stride)
        start += images_of(operator.node, target)
    return Trial(visit.graph, operator, metric, chunks)


def images_of(node: fx.Node, value: Tensor) -> int:
    """Return how many images the value of an operator holds."""
    axis = _batch_axis(node)
    return 1 if axis is None else value.shape[axis] // int(node.meta["batch_factor"])


def images_in(batch: Batch) -> int:
    """Return how many images a batch of a sweep holds at a unit."""
    return next(images_of(node, value) for node, value in batch.floats.items() if has_images(node))


def has_images(node: fx.Node) -> bool:
    """Tell whether the value of an operator depends on the image."""
    return _batch_axis(node) is not None


def narrow_images(node: fx.Node, value: Tensor, start: int, count: int) -> Tensor:
    """Return ``count`` images of an operator's value, from the one with index ``start``."""
    axis, factor = _batch_axis(node), int(node.meta["batch_factor"])
    return value if axis is None else value.narrow(axis, start * factor, count * factor)


def _cut(
    node: fx.Node,
    operands: tuple[Tensor, ...],
    target: Tensor,
    importance: Tensor | None,
    start: int,
    stride: int,
) -> list[_Chunk]:
    """Cut every ``stride``-th image of a batch into chunks; ``start`` images were before it."""
    images = images_of(node, target)
    largest = max(value.numel() for value in (*operands, target)) // images
    step = max(1, _CHUNK // max(1, largest)) if stride == 1 else 1
    sources = [node.args[0], node.args[1]]
    chunks = []
    for first in range(-start % stride, images, max(step, stride)):
        count = min(step, images - first)
        left, right = (
            narrow_images(_node(source), value, first, count)
            for source, value in zip(sources, operands, strict=True)
        )
        wanted = narrow_images(node, target, first, count)
        factors = _importance(node, importance, start + first, count)
        chunks.append(_Chunk((left, right), wanted, factors, count))
    return chunks


def _importance(node: fx.Node, factors: Tensor | None, start: int, count: int) -> Tensor | None:
    if factors is None:
        return None
    if images_of(node, factors) == 1 and start + count > 1:  # one for all images
        axis, repeats = _batch_axis(node) or 0, [1] * factors.ndim
        repeats[axis] = count
        return factors.repeat(repeats)
    return narrow_images(node, factors, start, count)


def _raw(graph: QuantGraph, argument: object, values: Mapping[fx.Node, Tensor]) -> Tensor:
    """Return the value of an operand before its own fake-quantization."""
    source = _node(argument)
    if source.op == "call_module":
        source = _node(args_of(source)[0])
    return weight_of(graph, source).detach() if source.op == "get_attr" else values[source]


def _batch_axis(argument: object) -> int | None:
    node = _node(argument)
    if not node.meta["batch_factor"]:
        return None
    return int(node.meta["shape"].index(-1))


def _node(argument: object) -> fx.Node:
    assert isinstance(argument, fx.Node)
    return argument
