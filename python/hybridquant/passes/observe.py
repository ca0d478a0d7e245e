"""The pass ``observe``: watch every quantized edge on calibration images, then set its range."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.observers import OBSERVERS, Observer
from hybridquant.passes import PASSES
from hybridquant.progress import track
from hybridquant.quant_graph import QuantEdge, QuantGraph


@PASSES.register("observe")
def observe(graph: QuantGraph, calibration: Calibration) -> QuantGraph:
    """Set scale and zero-point of every fake-quant module from what flows through it.

    The graph runs in float (every fake-quant module off) while observers watch. Weights are the
    same in every batch and are observed once. Costs one pass over the data, the memory of the
    observers (at most a histogram an edge) and no gradient.

    Args:
        graph: The graph to calibrate, changed in place.
        calibration: Images like those the model will see.

    Returns:
        ``graph``, calibrated.

    Raises:
        ValueError: If an edge sees values that are not finite; the text names the edge.
    """
    # By module: edges that share one see the same tensor.
    edges = {edge.module: edge for edge in graph.quant_edges}
    watchers = [_Watcher(graph, edge) for edge in edges.values()]
    try:
        with torch.no_grad(), graph.fake_quant_off():
            for x in track(calibration, "calibrate"):
                graph(x)
    finally:
        for watcher in watchers:
            watcher.hook.remove()
    for watcher in track(watchers, "choose ranges"):
        watcher.module.set_parameters(*watcher.observer.quantization_parameters())
    return graph


class _Watcher:
    """Feeds one edge's tensors to its observer, by a hook on its fake-quant module."""

    def __init__(self, graph: QuantGraph, edge: QuantEdge) -> None:
        axis = edge.channel_axis if edge.spec.granularity == "channel" else None
        self.observer: Observer = OBSERVERS[edge.spec.observer](edge.spec, axis)
        self.module = graph.module_of(edge)
        self.hook = self.module.register_forward_pre_hook(self._watch)
        self._edge = edge.edge
        self._is_done = False

    def _watch(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self._is_done:
            return
        x: Tensor = inputs[0]
        try:
            self.observer.observe(x.detach())
        except ValueError as error:
            where = f"{self._edge.node} ({self._edge.path or 'the model itself'})"
            msg = f"observe: {self._edge.operand} of {where}: {error}"
            raise ValueError(msg) from error
        self._is_done = self._edge.operand == "weight"
