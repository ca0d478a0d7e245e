"""Reconstruction: one unit trained until its quantized outputs resemble the float ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, fx

from hybridquant.layerwise.adaround import beta_at
from hybridquant.layerwise.sweep import Batch, Visit
from hybridquant.layerwise.trainable import Trainable, Values
from hybridquant.progress import track

Normalize = Literal["first", "none"]


@dataclass(frozen=True)
class Schedule:
    """How a unit is trained; ``hybridquant.passes.reconstruct`` says what each field means."""

    steps: int
    batch: int
    lr: float
    scale_lr: float
    bias_lr: float
    drop: float
    exponent: float
    regularizer: float
    normalize: Normalize


class Target:
    """What a unit should compute for the images of a visit, and how far it is from that.

    Args:
        visit: The unit and its inputs.
        exponent: Of the absolute error of each element.
        weights: What each element of an output counts; 1 where it is not in it.
            # an image's shape, [batch_factor, ...] on the batch axis
    """

    def __init__(
        self, visit: Visit, exponent: float, weights: Mapping[fx.Node, Tensor] | None = None
    ) -> None:
        self._visit, self._exponent, self._weights = visit, exponent, weights or {}
        with torch.no_grad():
            self.outputs = [visit.run_float(batch.floats) for batch in visit.batches]

    def losses(self, outputs: Values, targets: Values) -> dict[fx.Node, Tensor]:
        """Return, for each output, the mean over positions of the error summed over channels."""
        return {node: self._loss(node, outputs[node], x) for node, x in targets.items()}

    @torch.no_grad()
    def losses_of_graph(self) -> dict[fx.Node, float]:
        """Return the losses over all images, of the unit as it is in the graph."""
        sums: dict[fx.Node, float] = dict.fromkeys(self._visit.unit.outputs, 0.0)
        count = 0
        for batch, targets in zip(self._visit.batches, self.outputs, strict=True):
            size = _size(batch)
            count += size
            for node, loss in self.losses(self._visit.run(batch.values), targets).items():
                sums[node] += size * float(loss)
        return {node: total / count for node, total in sums.items()}

    def divisors(
        self, first: Mapping[fx.Node, float], normalize: Normalize
    ) -> dict[fx.Node, float]:
        """Return what the loss of each output is divided by.

        Args:
            first: The losses before training.
            normalize: ``first``: these; ``none``: 1, or with several outputs the mean over
                positions of the float output's own power.
        """
        if normalize == "first":
            return {node: loss or 1.0 for node, loss in first.items()}
        if len(first) == 1:
            return dict.fromkeys(first, 1.0)
        zeros = {node: torch.zeros_like(x) for node, x in self.outputs[0].items()}
        powers = self.losses(zeros, self.outputs[0])
        return {node: float(power) or 1.0 for node, power in powers.items()}

    def _loss(self, node: fx.Node, output: Tensor, target: Tensor) -> Tensor:
        error = (output - target).abs() ** self._exponent
        if node in self._weights:
            weight, axis = self._weights[node], batch_axis(node)
            counts = [1] * weight.ndim
            counts[axis] = error.shape[axis] // weight.shape[axis]
            error = error * weight.repeat(counts)
        return error.mean() * error.shape[1 if error.ndim == 4 else -1]


def train(
    trainable: Trainable,
    visit: Visit,
    target: Target,
    divisors: Mapping[fx.Node, float],
    schedule: Schedule,
    generator: torch.Generator,
    what: str,
) -> None:
    """Let what ``trainable`` holds learn, with Adam; the graph does not change.

    Args:
        trainable: The unit.
        visit: Its inputs.
        target: What it should compute.
        divisors: The loss of each output is divided by this.
        schedule: Steps, rates and the rest.
        generator: Draws images, and which elements stay in float.
        what: Name in the progress line.
    """
    optimizer, scheduler = _optimizer(trainable, schedule)
    leaves = [leaf for group in optimizer.param_groups for leaf in group["params"]]
    num_rounded = sum(rounding.v.numel() for rounding in trainable.roundings.values())
    images = Images(visit.batches, target.outputs)
    for step in track(range(schedule.steps), what):
        floats, values, targets = images.draw(schedule.batch, generator)
        inputs = {
            node: _mixed(values[node], floats[node], schedule.drop, generator) for node in values
        }
        outputs = trainable.run(inputs, lambda x: random_mask(x, schedule.drop, generator))
        losses = target.losses(outputs, targets)
        loss = torch.stack([value / divisors[node] for node, value in losses.items()]).sum()
        beta = beta_at(step, schedule.steps)
        if beta and num_rounded:
            undecided = torch.stack([r.regularizer(beta) for r in trainable.roundings.values()])
            share = 1 / num_rounded if schedule.normalize == "first" else 1.0
            loss = loss + schedule.regularizer * share * undecided.sum()
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        optimizer.step()
        scheduler.step()
        for scale in trainable.scales.values():
            scale.clamp()


class Images:
    """The images of a visit, to draw some of them from whatever batches they are in."""

    def __init__(self, batches: Sequence[Batch], targets: Sequence[Values]) -> None:
        self._batches, self._targets = batches, targets
        sizes = [_size(batch) for batch in batches]
        self._places = [(b, i) for b, size in enumerate(sizes) for i in range(size)]

    def draw(self, count: int, generator: torch.Generator) -> tuple[Values, Values, Values]:
        """Return floats, values and targets of ``count`` different images, or of all."""
        order = torch.randperm(len(self._places), generator=generator, device=generator.device)
        places = [self._places[int(index)] for index in order[:count]]
        parts = (
            [batch.floats for batch in self._batches],
            [batch.values for batch in self._batches],
            self._targets,
        )
        return tuple(_picked(part, places) for part in parts)  # type: ignore[return-value]


def batch_axis(node: fx.Node) -> int:
    """Return the axis of a value that holds the batch."""
    return int(node.meta["shape"].index(-1))


def _picked(parts: Sequence[Values], places: Sequence[tuple[int, int]]) -> Values:
    picked = {}
    for node in parts[0]:
        factor = node.meta["batch_factor"]
        if factor == 0:
            picked[node] = parts[0][node]
            continue
        axis = batch_axis(node)
        images = [parts[b][node].narrow(axis, i * factor, factor) for b, i in places]
        picked[node] = torch.cat(images, axis)
    return picked


def _size(batch: Batch) -> int:
    """Return the number of images of a batch."""
    node, x = next((n, x) for n, x in batch.floats.items() if n.meta["batch_factor"])
    return int(x.shape[batch_axis(node)] // node.meta["batch_factor"])


def _optimizer(
    trainable: Trainable, schedule: Schedule
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return Adam with a constant rate for roundings and a cosine to 0 for everything else."""

    def constant(_step: int) -> float:
        return 1.0

    def cosine(step: int) -> float:
        return (1 + math.cos(math.pi * step / schedule.steps)) / 2

    rows = [
        ([rounding.v for rounding in trainable.roundings.values()], schedule.lr, constant),
        ([leaf.tensor for leaf in trainable.weights.values()], schedule.lr, cosine),
        ([leaf.tensor for leaf in trainable.biases.values()], schedule.bias_lr, cosine),
        ([leaf.tensor for leaf in trainable.scales.values()], schedule.scale_lr, cosine),
    ]
    rows = [row for row in rows if row[0]]
    optimizer = torch.optim.Adam([{"params": leaves, "lr": lr} for leaves, lr, _ in rows])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, [factor for _, _, factor in rows])
    return optimizer, scheduler


def _mixed(x: Tensor, other: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return ``x`` with about a ``share`` of its elements taken from ``other``."""
    kept = None if other is x else random_mask(x, share, generator)
    return x if kept is None else torch.where(kept, x, other)


def random_mask(x: Tensor, share: float, generator: torch.Generator) -> Tensor | None:
    """Return a mask of the shape of ``x``, false with probability ``share``; None if all are true.

    A byte decides about an element, so the probability is a multiple of 1/256.
    """
    if share == 0:
        return None
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=generator)
    noise = words.view(torch.uint8)[: x.numel()].view(x.shape)
    return noise >= round(share * 256) if share < 1 else torch.zeros_like(noise, dtype=torch.bool)
