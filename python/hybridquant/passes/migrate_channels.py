"""The pass ``migrate_channels``: move the spread of channels from activations into weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx

from hybridquant.calibration import Calibration
from hybridquant.layerwise import products_of, sweep, unit_of
from hybridquant.layerwise.channels import ChannelGroup, Reader, find_channel_groups
from hybridquant.layerwise.ranges import as_quantized
from hybridquant.layerwise.rescale import columns, largest_read, rescale
from hybridquant.layerwise.sweep import MEMORY
from hybridquant.passes import PASSES
from hybridquant.progress import track
from hybridquant.quant_graph import QuantGraph

_SMALLEST = 1e-5
_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


@PASSES.register("migrate_channels")
def migrate_channels(
    graph: QuantGraph,
    calibration: Calibration,
    strengths: Sequence[float] = _STRENGTHS,
    images: int = 8,
    memory: float = MEMORY,
) -> QuantGraph:
    """Divide the channels of activations by factors that go into the weights that read them.

    A channel's factor is ``max|x|^a / max|w|^(1 - a)``, at least 1e-5, with its largest input x and
    the largest weight w that reads it. It is divided out of the rows of the convolution or linear
    layer, or the gamma and beta of the norm, that makes the channel. Which channels may be rescaled
    is found in the graph: between the two may stand ReLU, moves, pools, averages, and attention for
    its values. The float model computes the same.

    Of several strengths a, and of leaving the channels alone, each group of channels gets what
    loses least of its readers' outputs with both their operands quantized as the recipe wants;
    with one strength all groups get that one. Run it before ``observe``.

    Args:
        graph: The graph, changed in place.
        calibration: Images like those the model will see.
        strengths: Values of a, 0 to 1: 0 evens out the weights, 1 the activations.
        images: How many images are looked at.
        memory: GiB for the activations that are kept meanwhile.

    Raises:
        ValueError: If ``strengths`` is empty or one is not in [0, 1].
        RuntimeError: If weights were rounded before.

    Source:
        SmoothQuant (arXiv 2211.10438, released code: a = 0.5, factors at least 1e-5). Chosen: the
        search over a, by the outputs' squared error, and all other pairs than norm to linear.
    """
    _check(strengths)
    groups = find_channel_groups(graph, products_of(graph))
    inputs = _inputs(graph, calibration, groups, images, memory)
    for group in track(groups, "choose strengths"):
        trial = _Trial(graph, group, inputs)
        divisor = trial.best(strengths)
        rescale(graph, group, divisor)
        for reader in group.readers:
            x = inputs[reader.product.node]
            inputs[reader.product.node] = x / _by_input(reader, divisor, x)
    return graph


def _inputs(
    graph: QuantGraph,
    calibration: Calibration,
    groups: Sequence[ChannelGroup],
    images: int,
    memory: float,
) -> dict[fx.Node, Tensor]:
    """Return what each reader reads in float."""
    nodes = dict.fromkeys(reader.product.node for group in groups for reader in group.readers)
    units = [unit_of([node]) for node in nodes]
    found = {}
    with graph.fake_quant_off():
        for visit in sweep(graph, calibration, units, images=images, memory=memory, what="migrate"):
            (node,) = visit.unit.nodes
            parts = [visit.operand(batch.floats, node, 0, is_float=True) for batch in visit.batches]
            found[node] = torch.cat(parts)
    return found


class _Trial:
    """Tries factors on one group of channels.

    Args:
        graph: The graph.
        group: The channels.
        inputs: What each reader reads in float.
    """

    def __init__(
        self, graph: QuantGraph, group: ChannelGroup, inputs: dict[fx.Node, Tensor]
    ) -> None:
        self._group = group
        self._readers = [
            (reader, inputs[reader.product.node], graph.original(reader.product.weight))
            for reader in group.readers
        ]
        self._largest_w = largest_read(graph, group)
        self._exact = [_product(reader, x, weight) for reader, x, weight in self._readers]

    def best(self, strengths: Sequence[float]) -> Tensor:
        """Return the divisors that lose least; ones if that is to leave the channels alone."""
        candidates = [self._divisor(strength) for strength in strengths]
        if len(candidates) == 1:
            return candidates[0]
        candidates.insert(0, torch.ones_like(candidates[0]))
        errors = [self._error(divisor) for divisor in candidates]
        return candidates[errors.index(min(errors))]

    def _divisor(self, strength: float) -> Tensor:
        """Return the factors of one strength, whose geometric mean is 1."""
        is_legal, largest_w = self._group.is_legal, self._largest_w
        largest_x = torch.zeros(len(is_legal))
        for reader, x, _ in self._readers:
            read = reader.channels >= 0
            found = x.abs().movedim(_axis(reader, x), 0).flatten(1).amax(1)
            largest_x.scatter_reduce_(0, reader.channels[read], found[read], "amax")
        spread = largest_x.clamp(min=_SMALLEST) ** strength
        divisor = (spread / largest_w.clamp(min=_SMALLEST) ** (1 - strength)).clamp(min=_SMALLEST)
        # A dead channel, or one that nobody uses, says nothing.
        divisor = torch.where(is_legal & (largest_x > 0) & (largest_w > 0), divisor, torch.nan)
        return (divisor / divisor.log().nanmean().exp()).nan_to_num(nan=1.0)

    def _error(self, divisor: Tensor) -> float:
        """Return the squared error of the readers' outputs, each relative to its energy."""
        total = 0.0
        for (reader, x, weight), exact in zip(self._readers, self._exact, strict=True):
            product = reader.product
            x = as_quantized(product.input_edge, x / _by_input(reader, divisor, x))
            weight = as_quantized(product.weight_edge, weight * columns(reader, divisor))
            energy = float(exact.double().square().sum())
            error = float((_product(reader, x, weight) - exact).double().square().sum())
            total += error / energy if energy > 0 else error
        return total


def _product(reader: Reader, x: Tensor, weight: Tensor) -> Tensor:
    node = reader.product.node
    result: Tensor = node.target(x, weight, None, *node.args[3:])  # type: ignore[operator]
    return result


def _by_input(reader: Reader, divisor: Tensor, x: Tensor) -> Tensor:
    """Return the divisor of each channel of a reader's input, to divide it by."""
    per_input = torch.where(reader.channels >= 0, divisor[reader.channels.clamp(min=0)], 1.0)
    axis = _axis(reader, x)
    return per_input.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


def _axis(reader: Reader, x: Tensor) -> int:
    return x.ndim - 1 if reader.product.kind == "linear" else 1


def _check(strengths: Sequence[float]) -> None:
    is_list = isinstance(strengths, list | tuple) and len(strengths) > 0
    if not is_list or not all(isinstance(a, int | float) and 0 <= a <= 1 for a in strengths):
        msg = (
            "migrate_channels: strengths must be a list of numbers in [0, 1], at least one, got "
            f"{strengths!r}"
        )
        raise ValueError(msg)
