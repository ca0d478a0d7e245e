"""The pass ``migrate_channels``: move the spread of channels from activations into weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hybridquant.calibration import Calibration
from hybridquant.layerwise import products_of, sweep, unit_of
from hybridquant.layerwise.channels import ChannelGroup, find_channel_groups
from hybridquant.layerwise.migration import Seen, Trial
from hybridquant.layerwise.rescale import rescale
from hybridquant.layerwise.sweep import MEMORY
from hybridquant.passes import PASSES
from hybridquant.progress import track
from hybridquant.quant_graph import QuantGraph

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

    A channel's factor is ``max|x|^a / max|w|^(1 - a)``, at least 1e-5, with its largest value x and
    the largest weight w that reads it. It is divided out of the rows of the convolution or linear
    layer, or the gamma and beta of the norm, that makes the channel. Which channels may be rescaled
    is found in the graph: between the two may stand ReLU, moves, pools, averages, and attention for
    its values. The float model computes the same.

    Of several strengths a, and of leaving the channels alone, each group of channels gets what
    loses least of its readers' outputs with both their operands quantized as the recipe wants, and
    where the channels are first read; with one strength all groups get that one. Run it before
    ``observe``.

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
    seen = _seen(graph, calibration, groups, images, memory)
    before = [torch.ones(len(group.is_legal)) for group in groups]
    if len(strengths) > 1:
        # Each group is judged beside others that are even already: outliers of one that shares a
        # reader would hide what it loses itself.
        before = [_apply(graph, group, seen, [1.0]) for group in groups]
    for group, applied in track(list(zip(groups, before, strict=True)), "choose strengths"):
        _apply(graph, group, seen, strengths, 1 / applied)
    return graph


def _apply(
    graph: QuantGraph,
    group: ChannelGroup,
    seen: Seen,
    strengths: Sequence[float],
    undo: Tensor | None = None,
) -> Tensor:
    """Rescale a group by the best strength, or back to where it was, and return the divisors."""
    divisor = Trial(graph, group, seen).best(strengths, undo)
    rescale(graph, group, divisor)
    seen.rescale(group, divisor)
    return divisor


def _seen(
    graph: QuantGraph,
    calibration: Calibration,
    groups: Sequence[ChannelGroup],
    images: int,
    memory: float,
) -> Seen:
    """Return what is made and read of the channels, in float."""
    readers = {reader.product.node for group in groups for reader in group.readers}
    producers = {group.producer for group in groups}
    units = [unit_of([node]) for node in graph.graph.nodes if node in readers | producers]
    seen = Seen({}, {})
    with graph.fake_quant_off(), torch.no_grad():
        for visit in sweep(graph, calibration, units, images=images, memory=memory, what="migrate"):
            (node,), batches = visit.unit.nodes, visit.batches
            if node in readers:
                parts = [visit.operand(batch.floats, node, 0, is_float=True) for batch in batches]
                seen.inputs[node] = torch.cat(parts)
            if node in producers:
                parts = [visit.run_float(batch.floats)[node] for batch in batches]
                seen.outputs[node] = torch.cat(parts)
    return seen


def _check(strengths: Sequence[float]) -> None:
    is_list = isinstance(strengths, list | tuple) and len(strengths) > 0
    if not is_list or not all(isinstance(a, int | float) and 0 <= a <= 1 for a in strengths):
        msg = (
            "migrate_channels: strengths must be a list of numbers in [0, 1], at least one, got "
            f"{strengths!r}"
        )
        raise ValueError(msg)
