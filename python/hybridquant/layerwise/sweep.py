"""The sweep: a QuantGraph run unit by unit, in float and quantized side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.calibration import Calibration
from hybridquant.capture.cost import num_elements
from hybridquant.capture.graph import weight_of
from hybridquant.layerwise.units import Unit, in_order
from hybridquant.progress import track
from hybridquant.quant_graph import QuantGraph

Values = dict[fx.Node, Tensor]
# Bytes that the values between units may take, in GiB, unless a recipe says otherwise.
MEMORY = 1.5
_GIB = 2**30
_BYTES = 4  # of a float32


@dataclass
class Batch:
    """What one batch of images is at the edge of a unit.

    Args:
        floats: Values of the unit's inputs in the float model.
        values: The same in the quantized model, as left by the units before; before the
            fake-quantization on the unit's own edges.
    """

    floats: Values
    values: Values


class Visit:
    """A stop of a sweep at one unit. What is changed here counts from here on.

    Args:
        graph: The graph.
        unit: The unit.
        batches: What it reads.
    """

    def __init__(self, graph: QuantGraph, unit: Unit, batches: list[Batch]) -> None:
        self.graph, self.unit, self.batches = graph, unit, batches

    def run_float(self, values: Mapping[fx.Node, Tensor]) -> Values:
        """Return the values of the unit's outputs in float, with its original weights."""
        return _run(self.graph, self.unit, values, is_float=True)

    def run(self, values: Mapping[fx.Node, Tensor]) -> Values:
        """Return the values of the unit's outputs, quantized."""
        return _run(self.graph, self.unit, values, is_float=False)

    def operand(
        self, values: Mapping[fx.Node, Tensor], node: fx.Node, position: int, is_float: bool
    ) -> Tensor:
        """Return what an operator of the unit reads, where that is an input of the unit.

        Args:
            values: Of the unit's inputs.
            node: The operator.
            position: Which argument.
            is_float: In float; else as its fake-quant module leaves it.
        """
        value: Tensor = _read(self.graph, node.args[position], values, is_float)
        return value


def sweep(
    graph: QuantGraph,
    calibration: Calibration,
    units: Sequence[Unit],
    *,
    images: int | None = None,
    memory: float = MEMORY,
    what: str = "sweep",
) -> Iterator[Visit]:
    """Go through ``graph`` once and stop at each unit, with what it reads in float and quantized.

    The quantized values are those of the graph as it is when a unit is left: a pass that changes
    weights or ranges at a stop sees the consequences at all later stops. The values of no more
    images are kept than fit into ``memory``; the progress line says how many that are.

    Costs one pass in float and one quantized over those images.

    Args:
        graph: The graph, calibrated.
        calibration: The images.
        units: Where to stop.
        images: Number of images from the beginning of ``calibration``; all if None.
        memory: GiB for the values that are kept.
        what: Name in the progress line.

    Raises:
        ValueError: If units overlap or one reads what depends on it, ``images`` is below 1, or not
            one image fits ``memory``.
    """
    order = in_order(graph, units)
    last_use = _last_uses(order)
    taken = _images(graph, order, last_use, images, memory)
    (image,) = graph.graph.find_nodes(op="placeholder")
    batches = [Batch({image: x}, {image: x}) for x in _first(calibration, taken)]
    count = sum(len(batch.floats[image]) for batch in batches)
    for position, unit in enumerate(track(order, f"{what} ({count} images)")):
        if not unit.is_single:
            yield Visit(graph, unit, [_edge(unit, batch) for batch in batches])
        for batch in batches:
            _advance(graph, unit, batch)
            for node in last_use.get(position, ()):
                del batch.floats[node], batch.values[node]


@torch.no_grad()
def _advance(graph: QuantGraph, unit: Unit, batch: Batch) -> None:
    batch.floats.update(_run(graph, unit, batch.floats, is_float=True))
    batch.values.update(_run(graph, unit, batch.values, is_float=False))


def _edge(unit: Unit, batch: Batch) -> Batch:
    return Batch(
        {node: batch.floats[node] for node in unit.inputs},
        {node: batch.values[node] for node in unit.inputs},
    )


def _first(calibration: Calibration, count: int) -> Iterator[Tensor]:
    left = count
    for x in calibration:
        yield x[:left]
        left -= len(x)
        if left <= 0:
            return


def _run(graph: QuantGraph, unit: Unit, values: Mapping[fx.Node, Tensor], is_float: bool) -> Values:
    known = dict(values)
    for node in unit.nodes:
        args = fx.map_arg(node.args, lambda argument: _read(graph, argument, known, is_float))
        kwargs = fx.map_arg(node.kwargs, lambda argument: _read(graph, argument, known, is_float))
        known[node] = node.target(*args, **kwargs)  # type: ignore[operator]
    return {node: known[node] for node in unit.outputs}


def _read(
    graph: QuantGraph, argument: Any, values: Mapping[fx.Node, Tensor], is_float: bool
) -> Tensor:
    """Return the value of an argument; fake-quant modules and parameters are read when needed."""
    if argument.op == "get_attr":
        return graph.original(argument) if is_float else weight_of(graph, argument)
    if argument.op == "call_module":
        x = _read(graph, argument.args[0], values, is_float)
        result: Tensor = x if is_float else graph.get_submodule(str(argument.target))(x)
        return result
    return values[argument]


def _last_uses(order: Sequence[Unit]) -> dict[int, list[fx.Node]]:
    """Return which values are read for the last time by which unit of ``order``."""
    last: dict[fx.Node, int] = {}
    for position, unit in enumerate(order):
        for node in (*unit.inputs, *unit.outputs):
            last[node] = position
    freed: dict[int, list[fx.Node]] = {}
    for node, position in last.items():
        freed.setdefault(position, []).append(node)
    return freed


def _images(
    graph: QuantGraph,
    order: Sequence[Unit],
    last_use: Mapping[int, Sequence[fx.Node]],
    images: int | None,
    memory: float,
) -> int:
    """Return how many images are taken: as many as are wanted and fit."""
    if images is not None and images < 1:
        msg = f"sweep: images must be at least 1, got {images}"
        raise ValueError(msg)
    (image,) = graph.graph.find_nodes(op="placeholder")
    held = most = _BYTES * num_elements(image)
    for position, unit in enumerate(order):
        held += sum(_BYTES * num_elements(node) for node in unit.outputs)
        most = max(most, held)
        held -= sum(_BYTES * num_elements(node) for node in last_use.get(position, ()))
    fitting = int(memory * _GIB / (2 * most))
    if fitting < 1:
        need = 2 * most / _GIB
        msg = f"sweep: memory must be at least {need:.2g} GiB for one image, got {memory}"
        raise ValueError(msg)
    return fitting if images is None else min(images, fitting)
