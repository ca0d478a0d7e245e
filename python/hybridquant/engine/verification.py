"""The engine beside the simulator, code for code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hybridquant.engine.integer_model import IntegerModel
from hybridquant.engine.integer_module import dequantize
from hybridquant.lower import IntNode, simulate

# Batches and threads of the runs that must give the same logits.
_BATCHES = (1, 3)
_THREADS = (1, 2)


@dataclass(frozen=True)
class Difference:
    """A code that the engine and the simulator do not agree on.

    Args:
        image: Which image, from 0.
        node: Which node, from 0.
        op: Kind of the node.
        path: Module of the trained model that it comes from.
        index: Which code of its output.
        engine: What the engine computes.
        simulator: What the simulator computes.
    """

    image: int
    node: int
    op: str
    path: str
    index: tuple[int, ...]
    engine: int
    simulator: int

    def __str__(self) -> str:
        """Return it as a part of a sentence."""
        where = f"node {self.node} ({self.op} of {self.path or 'the model itself'})"
        return (
            f"{where} of image {self.image} at {list(self.index)}: "
            f"engine {self.engine}, simulator {self.simulator}"
        )


@dataclass(frozen=True)
class Run:
    """How the logits of all images were computed, and how many differ from the simulator's.

    Args:
        runner: ``engine`` or ``torchscript``.
        batch: Images a call.
        threads: Threads of the engine; of torch for ``torchscript``.
        differing_codes: Logits that differ.
    """

    runner: str
    batch: int
    threads: int
    differing_codes: int


@dataclass(frozen=True)
class Verification:
    """What ``verify`` found.

    Args:
        images: Number of images.
        nodes: Number of nodes whose outputs were compared for each image.
        differing_codes: Codes of those outputs that differ, and logits of the runs that differ.
        first: The first code of a node that differs; None where all agree.
        runs: The other ways in which the logits were computed.
    """

    images: int
    nodes: int
    differing_codes: int
    first: Difference | None
    runs: tuple[Run, ...]


def verify(
    model: IntegerModel,
    batches: Iterable[Tensor],
    scripted: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 8,
) -> Verification:
    """Compare the engine with the simulator, node by node.

    The simulator (``hybridquant.lower.simulate``) is written from docs/arithmetic.md and shares no
    code with the engine, which is much faster. The logits of all images are also computed in
    batches of 1, of 3 and of ``batch_size``, by engines with 1 and 2 threads and by ``scripted``.

    Args:
        model: The integer model.
        batches: Images uint8 [images, *model.input_size].
        scripted: Maps such images to logits, as ``model.to_module()`` does; or nothing to compare.
        batch_size: Images a call, of some of the runs.

    Raises:
        TypeError: If ``model`` is none, or images are not uint8.
        ValueError: If images have another shape, there are none, or ``batch_size`` is below 1.
    """
    if not isinstance(model, IntegerModel):
        msg = f"verify: model must be an IntegerModel, got {type(model).__name__}"
        raise TypeError(msg)
    if batch_size < 1:
        msg = f"verify: batch_size must be at least 1, got {batch_size}"
        raise ValueError(msg)
    nodes = _Nodes(model)
    ways = list(_ways(model, scripted, sorted({*_BATCHES, batch_size})))
    counts = [0] * len(ways)
    for images in batches:
        codes = torch.cat([nodes.compare(image) for image in images.split(1)])
        logits = dequantize(codes, model.scale, model.zero_point)
        for position, (run, compute) in enumerate(ways):
            found = torch.cat([compute(part) for part in images.split(run.batch)])
            wanted = logits if found.is_floating_point() else codes
            counts[position] += int((found != wanted).sum())
    if not nodes.num_images:
        msg = "verify: batches must hold at least one image, got none"
        raise ValueError(msg)
    runs = (replace(run, differing_codes=n) for (run, _), n in zip(ways, counts, strict=True))
    total = nodes.num_differing + sum(counts)
    return Verification(nodes.num_images, model.num_nodes, total, nodes.first, tuple(runs))


_Compute = Callable[[Tensor], Tensor]


def _ways(
    model: IntegerModel, scripted: _Compute | None, batches: Sequence[int]
) -> Iterator[tuple[Run, _Compute]]:
    """Yield how logits are computed, each with nothing found to differ yet."""
    for threads in _THREADS:
        engine = IntegerModel(model.to_bytes(), threads, model.functions)
        for batch in batches:
            yield Run("engine", batch, threads, 0), engine.codes
    if scripted is not None:
        for batch in batches:
            yield Run("torchscript", batch, torch.get_num_threads(), 0), scripted


class _Nodes:
    """Compares every node of one image after the other."""

    def __init__(self, model: IntegerModel) -> None:
        self.model, self.graph = model, model.graph
        self.num_images = self.num_differing = 0
        self.first: Difference | None = None

    def compare(self, image: Tensor) -> Tensor:
        """Return the simulator's codes of the logits, int32 [1, logits]."""
        found, wanted = self.model.trace(image), simulate(self.graph, image)
        for index, node in enumerate(self.graph.nodes):
            self._compare(index, node, found[node.output].long(), wanted[node.output])
        self.num_images += 1
        return wanted[self.graph.output].int().reshape(1, -1)

    def _compare(self, index: int, node: IntNode, found: Tensor, wanted: Tensor) -> None:
        places = (found != wanted).nonzero()
        self.num_differing += len(places)
        if len(places) and self.first is None:
            place = tuple(places[0].tolist())
            engine, simulator = int(found[place]), int(wanted[place])
            where = (self.num_images, index, node.op, node.path)
            self.first = Difference(*where, place, engine, simulator)
