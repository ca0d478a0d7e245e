"""How much each operator's quantization changes what the model says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridquant.analysis.operators import Operator, operators_of
from hybridquant.analysis.replay import Replay
from hybridquant.calibration import Calibration
from hybridquant.progress import track
from hybridquant.quant_graph import QuantGraph
from hybridquant.report import Fidelity

# Images at a time: more are slower, for their activations no longer fit the caches, and with
# gradients all of these are kept.
_REPLAYED = 8


@dataclass(frozen=True)
class Sensitivity:
    """What the quantization of one operator does to the logits.

    Args:
        operator: The operator.
        alone: The logits where it alone is quantized, beside those in float.
        without: The logits where it alone is in float, beside those in float.
        fisher: Mean over the images of the sum over what it computes of the squared gradient of the
            loss times the squared error of its quantization; the loss is the cross-entropy of the
            class that the float model gives.
        gain: How much lower the divergence of the quantized model is with this operator in float,
            in nats; below 0 where its error makes up for others.
    """

    operator: Operator
    alone: Fidelity
    without: Fidelity
    fisher: float
    gain: float


# Larger is worse.
METRICS: dict[str, Callable[[Sensitivity], float]] = {
    "kl": lambda found: found.alone.kl,
    "sqnr": lambda found: -found.alone.sqnr_db,
    "fisher": lambda found: found.fisher,
    "gain": lambda found: found.gain,
}


def worst_first(found: Sequence[Sensitivity], metric: str = "kl") -> list[Sensitivity]:
    """Return the operators from the most sensitive to the least; equal ones in graph order.

    Args:
        found: In graph order.
        metric: ``kl`` and ``sqnr`` of the operator quantized alone, ``fisher``, or ``gain``.

    Raises:
        ValueError: If there is no such metric.
    """
    if metric not in METRICS:
        msg = f"worst_first: metric must be one of {', '.join(METRICS)}, got {metric!r}"
        raise ValueError(msg)
    return sorted(found, key=METRICS[metric], reverse=True)


def measure(graph: QuantGraph, images: Calibration) -> tuple[list[Sensitivity], Fidelity]:
    """Return how sensitive each operator is, in graph order, and the quantized model's figures.

    Each operator is quantized with all others in float, and left in float with all others
    quantized. What comes before it is computed once for all operators.

    Costs about half as many passes over the images as there are operators, twice, one backward
    pass, and the memory of 8 images' activations; no labels.

    Args:
        graph: A calibrated graph; not changed.
        images: Images like those the model will see.
    """
    replay = Replay(graph)
    names = replay.operators
    alone = {name: _Tally() for name in names}
    without = {name: _Tally() for name in names}
    whole, fisher, count = _Tally(), dict.fromkeys(names, 0.0), 0
    for x in track(_cut(images), "sensitivity"):
        y = replay.run(x, ())
        whole.add(y, replay.run(x, names))
        for tallies, others in ((alone, False), (without, True)):
            for name, y_hat in replay.flips(x, others=others):
                tallies[name].add(y, y_hat)
        _add_fisher(replay, x, fisher)
        count += len(x)
    quantized = whole.fidelity()
    found = [
        Sensitivity(
            operator,
            alone[operator.node].fidelity(),
            left_out := without[operator.node].fidelity(),
            fisher[operator.node] / count,
            quantized.kl - left_out.kl,
        )
        for operator in operators_of(graph)
    ]
    return found, quantized


def _cut(images: Calibration) -> Iterator[Tensor]:
    for x in images:
        yield from x.split(_REPLAYED)


def _add_fisher(replay: Replay, x: Tensor, sums: dict[str, float]) -> None:
    """Add each operator's sum over all images and values of squared gradient times error."""

    def weigh(name: str, error: Tensor) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            sums[name] += float((gradient * error).square().sum(dtype=torch.float64))

        return hook

    x = x.detach().requires_grad_(True)
    for node, y, read in replay.visit(x):
        if node.op == "output":
            own_class = y.detach().argmax(1)
            F.cross_entropy(y, own_class, reduction="sum").backward()
        elif node.name in sums and y.requires_grad:
            with torch.no_grad():
                error = replay.compute(node, read) - y
            y.register_hook(weigh(node.name, error))


class _Tally:
    """Sums over batches of what ``Fidelity`` is made of."""

    def __init__(self) -> None:
        self._signal = self._noise = self._divergence = 0.0
        self._hits = self._images = 0

    def add(self, y: Tensor, y_hat: Tensor) -> None:
        """Take the logits of one batch in, both [batch, classes]."""
        y, y_hat = y.double(), y_hat.double()
        self._signal += float(y.square().sum())
        self._noise += float((y_hat - y).square().sum())
        log_p, log_q = F.log_softmax(y, 1), F.log_softmax(y_hat, 1)
        self._divergence += float(F.kl_div(log_q, log_p, reduction="sum", log_target=True))
        self._hits += int((y.argmax(1) == y_hat.argmax(1)).sum())
        self._images += len(y)

    def fidelity(self) -> Fidelity:
        has_ratio = self._signal > 0 and self._noise > 0
        sqnr_db = 10 * math.log10(self._signal / self._noise) if has_ratio else math.inf
        kl = max(self._divergence / self._images, 0.0)
        return Fidelity(self._hits / self._images, sqnr_db, kl)
