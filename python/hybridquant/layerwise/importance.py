"""How much each element of an operator's result matters: gradients of a loss at the logits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from hybridquant.calibration import Calibration
from hybridquant.capture.cost import num_elements
from hybridquant.layerwise.graph_run import GraphRun
from hybridquant.layerwise.sweep import Visit
from hybridquant.layerwise.trial import images_in, narrow_images
from hybridquant.layerwise.units import Unit, readers_of
from hybridquant.quant_graph import QuantGraph

Source = Literal["label_ce", "fp_noise", "perturb", "quant_chain"]
SOURCES = get_args(Source)
# Of APHQ-ViT's perturbation: how far a block's output is shifted, and the softmax's temperature.
SHIFT, TEMPERATURE = 1e-6, 20.0
# A gradient of the logits below this many rounding errors of the logits is noise.
_NOISE = 100.0
# Images that are run together at most: more is not faster.
_LARGEST_RUN = 16
_GIB = 2**30
Loss = Callable[[Tensor, Tensor], Tensor]


def importance_of(
    graph: QuantGraph,
    batches: Iterable[Tensor],
    nodes: Sequence[fx.Node],
    source: Source,
    *,
    quantized: Collection[fx.Node] = (),
    memory: float,
    allow_zero: bool = False,
) -> dict[fx.Node, Tensor]:
    """Return a factor for the errors of each element of some operators' results.

    The sum of the squares of errors times factors is a second-order estimate of what they cost.

    * ``label_ce``: gradient of the cross entropy with the model's own first choice.
    * ``fp_noise``: gradient of the divergence of the float model from itself, as the released code
      of PTQ4ViT has it: nothing but float noise.
    * ``quant_chain``: gradient of the divergence from the float model of the model in which the
      operands that ``quantized`` read are quantized.
    * ``perturb``: square root of ``|g+ - g-|``, averaged over images, with the gradients of the
      divergence (temperature 20) where the output of the operator's block is shifted by +1e-6 and
      -1e-6. It runs in float64: in float32 a shift of 1e-6 is lost among rounding errors.

    Costs a run forward and back over the images; ``perturb`` two for each block.

    Args:
        graph: The graph.
        batches: Images, [batch, channels, height, width] each.
        nodes: Operators whose results depend on the image.
        source: As above.
        quantized: Operators, for ``quant_chain``.
        memory: GiB that one run may take.
        allow_zero: Whether gradients that are nothing but float noise are fine.

    Returns:
        The factors, float32, images in order along the axis that the operator's result has them
        on; one image's for all with ``perturb``.

    Raises:
        ValueError: If the gradients are nothing but float noise.

    Source:
        PTQ4ViT: arXiv 2111.12293 and issue 23 of its code. APHQ-ViT: its released code.
    """
    cut = [piece for x in batches for piece in x.split(_images_at_once(graph, memory, source))]
    noise = _Noise()
    if source == "perturb":
        found: dict[fx.Node, Tensor] = {}
        for members, shifted in _by_block(nodes):
            found |= _perturbed(graph, cut, members, shifted, noise)
    else:
        loss = _cross_entropy if source == "label_ce" else _divergence(1.0)
        on = quantized if source == "quant_chain" else ()
        gradients = [_gradients(graph, x, nodes, loss, noise, on) for x in cut]
        found = {
            node: torch.cat([each[node] for each in gradients], node.meta["shape"].index(-1))
            for node in nodes
        }
    noise.check(source, allow_zero)
    return found


class Importance:
    """``importance_of`` for the units of a sweep, for as many at a time as fit into memory.

    Args:
        graph: The graph.
        calibration: The images of the sweep.
        units: The units of the sweep.
        source: See ``importance_of``.
        memory: GiB for the factors, and as much for a run.
        allow_zero: See ``importance_of``.
    """

    def __init__(
        self,
        graph: QuantGraph,
        calibration: Calibration,
        units: Sequence[Unit],
        source: Source,
        memory: float,
        allow_zero: bool,
    ) -> None:
        self._graph, self._calibration, self._source = graph, calibration, source
        self._memory, self._allow_zero = memory, allow_zero
        self._pending = list(units)
        self._known: dict[fx.Node, Tensor] = {}

    def at(self, visit: Visit) -> dict[fx.Node, Tensor]:
        """Return the factors for the operators of the unit where the sweep has stopped."""
        unit = visit.unit
        if unit.nodes[0] not in self._known:
            images = sum(images_in(batch) for batch in visit.batches)
            self._known |= importance_of(
                self._graph,
                _first(self._calibration, images),
                [node for each in self._next(unit, images) for node in each.nodes],
                self._source,
                quantized=self._so_far(unit),
                memory=self._memory,
                allow_zero=self._allow_zero,
            )
        self._pending.remove(unit)
        return {node: self._known.pop(node) for node in unit.nodes}

    def _next(self, unit: Unit, images: int) -> list[Unit]:
        """Return ``unit`` and those to come that fit beside it; alone if the rest will differ."""
        taken, held = [unit], sum(map(num_elements, (*unit.nodes, *self._known)))
        for other in self._pending if self._source != "quant_chain" else ():
            if other is unit or other.nodes[0] in self._known:
                continue
            held += sum(map(num_elements, other.nodes))
            if 4 * held * images > self._memory * _GIB:
                break
            taken.append(other)
        return taken

    def _so_far(self, unit: Unit) -> frozenset[fx.Node]:
        nodes = list(self._graph.graph.nodes)
        return frozenset((*nodes[: nodes.index(unit.nodes[0])], *unit.nodes))


def _first(calibration: Calibration, count: int) -> Iterator[Tensor]:
    for x in calibration:
        yield x[:count]
        count -= len(x)
        if count <= 0:
            return


def _cross_entropy(logits: Tensor, _reference: Tensor) -> Tensor:
    return F.cross_entropy(logits, logits.detach().argmax(-1), reduction="sum")


def _divergence(temperature: float) -> Loss:
    def loss(logits: Tensor, reference: Tensor) -> Tensor:
        shares = (reference / temperature).softmax(-1)
        return F.kl_div((logits / temperature).log_softmax(-1), shares, reduction="sum")

    return loss


def _perturbed(
    graph: QuantGraph,
    batches: Sequence[Tensor],
    nodes: Sequence[fx.Node],
    shifted: Collection[fx.Node],
    noise: _Noise,
) -> dict[fx.Node, Tensor]:
    """Return the square roots of mean ``|g+ - g-|`` over all images, shifting one block."""
    total: dict[fx.Node, Tensor] = {}
    loss = _divergence(TEMPERATURE)
    for batch in batches:
        x = batch.double()
        above, below = (
            _gradients(graph, x, nodes, loss, noise, (), dict.fromkeys(shifted, shift))
            for shift in (SHIFT, -SHIFT)
        )
        for node in nodes:
            size = (above[node] - below[node]).abs()
            images = torch.stack([narrow_images(node, size, i, 1) for i in range(len(x))]).sum(0)
            total[node] = total[node] + images if node in total else images
    count = sum(len(x) for x in batches)
    return {node: (value / count).sqrt().float() for node, value in total.items()}


def _gradients(
    graph: QuantGraph,
    x: Tensor,
    nodes: Sequence[fx.Node],
    loss: Loss,
    noise: _Noise,
    quantized: Collection[fx.Node],
    shifts: Mapping[fx.Node, float] | None = None,
) -> dict[fx.Node, Tensor]:
    """Return the gradient of the loss, summed over images, at the results of ``nodes``."""
    with torch.no_grad():
        reference = GraphRun(graph, (), (), {}).run(x)
    run = GraphRun(graph, nodes, quantized, shifts or {})
    with torch.enable_grad():
        logits = run.run(x.clone().requires_grad_())
        values = [run.values[node] for node in nodes]
        *gradients, at_logits = torch.autograd.grad(
            loss(logits, reference), [*values, logits], allow_unused=True
        )
    noise.add(logits.detach(), at_logits)
    return {
        node: torch.zeros_like(value, requires_grad=False) if gradient is None else gradient
        for node, value, gradient in zip(nodes, values, gradients, strict=True)
    }


class _Noise:
    """Tells gradients from float noise, by those of the logits."""

    def __init__(self) -> None:
        self._largest = self._floor = 0.0

    def add(self, logits: Tensor, gradient: Tensor) -> None:
        """Take in the logits and their gradients, [batch, logits] each."""
        largest = max(1.0, float(logits.abs().max()))
        self._floor = max(self._floor, _NOISE * torch.finfo(logits.dtype).eps * largest)
        self._largest = max(self._largest, float(gradient.abs().max()))

    def check(self, source: str, allow_zero: bool) -> None:
        """Raise where no gradient was more than noise, unless that is fine."""
        if self._largest <= self._floor and not allow_zero:
            msg = (
                f"importance_of: the gradients of {source!r} must be more than float noise, got "
                f"at most {self._largest:.1e} at the logits: the two models it compares are the "
                "same; choose label_ce, or set allow_zero_gradient to reproduce that"
            )
            raise ValueError(msg)


def _by_block(nodes: Sequence[fx.Node]) -> list[tuple[list[fx.Node], list[fx.Node]]]:
    """Return the operators of each block, and those whose values leave the block."""
    blocks: dict[Any, list[fx.Node]] = {}
    for node in nodes:
        blocks.setdefault(node.meta["block"] or node, []).append(node)
    found = []
    for block, members in blocks.items():
        if isinstance(block, fx.Node):
            found.append((members, members))
            continue
        inside = [n for n in members[0].graph.nodes if n.meta["block"] == block]
        inside = [n for n in inside if n.op == "call_function"]
        leaving = [n for n in inside if any(r.meta["block"] != block for r in readers_of(n))]
        found.append((members, leaving))
    return found


def _images_at_once(graph: QuantGraph, memory: float, source: Source) -> int:
    """Return how many images are run forward and back together: all values of a run are kept."""
    nodes = [node for node in graph.graph.nodes if node.op in ("call_function", "placeholder")]
    # A value, its gradient, and what an operator keeps for its way back.
    bytes_each = (8 if source == "perturb" else 4) * 3 * sum(map(num_elements, nodes))
    return max(1, min(_LARGEST_RUN, int(memory * _GIB / bytes_each)))
