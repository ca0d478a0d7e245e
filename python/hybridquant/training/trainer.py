"""The training loop of ``hybridquant finetune``, which can stop at any step and go on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hybridquant.data import ImageData
from hybridquant.data.random_views import random_views
from hybridquant.distributed import ALONE, Processes
from hybridquant.quant_graph import QuantGraph
from hybridquant.recipe import FinetuneSettings
from hybridquant.training.distillation import distillation_loss
from hybridquant.training.learning import enable_learning
from hybridquant.training.schedule import rate

Record = dict[str, float]


class Trainer:
    """Fine-tunes a calibrated graph, step by step.

    The images of a step and their views depend on the seed, the epoch and the images' positions
    alone, so a run that goes on from a saved state equals one that was never stopped, bit for bit,
    on the same machine with as many threads and processes. Several processes share each batch;
    their gradients are averaged.

    Args:
        graph: Changed in place.
        original: The float model that it learns from, in eval mode.
        data: Photographs, with labels or without.
        settings: How to train.
        epochs: How often to go through ``data``.
        seed: Of the order and the views.
        processes: Those that train together, each with the same arguments.

    Attributes:
        step: Steps done.
        num_steps: Steps of the whole run.
        history: A record of each epoch: ``epoch``, ``lr`` at its end, and mean ``loss``.

    Raises:
        ValueError: If ``graph`` is not calibrated, there are fewer images than processes, or
            nothing would learn.
    """

    def __init__(
        self,
        graph: QuantGraph,
        original: nn.Module,
        data: ImageData,
        settings: FinetuneSettings,
        *,
        epochs: int,
        seed: int = 0,
        processes: Processes = ALONE,
    ) -> None:
        self.step = 0
        self.history: list[Record] = []
        self._settings, self._seed, self._processes = settings, seed, processes
        self._original, self._data = original, data
        self._batch_size = min(settings.batch_size, len(data))
        if self._batch_size < processes.count:
            msg = (
                "Trainer: a batch must hold an image for each process, "
                f"got {self._batch_size} for {processes.count} processes"
            )
            raise ValueError(msg)
        self.steps_per_epoch = len(data) // self._batch_size
        self.num_steps = epochs * self.steps_per_epoch
        self._learning = enable_learning(graph, weight_steps=settings.weight_steps)
        groups = self._learning.groups(settings.lr, settings.step_lr, settings.weight_decay)
        self._optimizer = torch.optim.AdamW([group for group in groups if group["lr"] > 0])
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._learning.guard(self._optimizer)
        self._parallel: nn.Module = self._learning.module
        if processes.count > 1:
            self._parallel = DistributedDataParallel(self._parallel)
        self._average = deepcopy(graph)
        self._total = torch.zeros((), dtype=torch.float64)

    def run(self, after_step: Callable[[bool], None]) -> None:
        """Train to the end.

        Args:
            after_step: Called after each step, when ``state`` is whole; told whether the step ended
                an epoch, whose record then is the last of ``history``.

        Raises:
            ValueError: If the loss is not finite.
        """
        while self.step < self.num_steps:
            epoch, done = divmod(self.step, self.steps_per_epoch)
            for positions in self._shares(epoch, done):
                self._total += self._train(epoch, positions)
                self._update_average()
                self.step += 1
                has_ended = self.step % self.steps_per_epoch == 0
                if has_ended:
                    self._end_epoch()
                after_step(has_ended)

    def result(self) -> QuantGraph:
        """Return the moving average of the graph, finished: whole zero-points, no gradients."""
        graph = self._average if self._settings.ema_decay else self._learning.graph
        return enable_learning(deepcopy(graph)).finish()

    def state(self) -> dict[str, Any]:
        """Return all that ``load_state`` needs to go on; it shares memory with the run."""
        return {
            "step": self.step,
            "num_steps": self.num_steps,
            "history": self.history,
            "total": self._total,
            "graph": self._learning.graph.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` returned in a run with the same arguments."""
        self.step, self.history = state["step"], list(state["history"])
        self._total = state["total"].clone()
        self._learning.graph.load_state_dict(state["graph"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _shares(self, epoch: int, done: int) -> Iterator[list[int]]:
        """Yield this process's positions of every batch that an epoch still has."""
        number = self._seed * 1_000_003 + epoch
        order = torch.randperm(len(self._data), generator=torch.Generator().manual_seed(number))
        share = self._processes.share(self._batch_size)
        for batch in range(done, self.steps_per_epoch):
            start = batch * self._batch_size
            yield order[start + share.start : start + share.stop].tolist()

    def _train(self, epoch: int, positions: list[int]) -> Tensor:
        """Take one step; return the mean loss of this process's images."""
        settings, share = self._settings, len(positions)
        x, labels = random_views(
            self._data,
            positions,
            area=settings.crop_area,
            flip=settings.flip,
            seed=(self._seed, epoch),
        )
        with torch.no_grad():
            original = self._original(x)
        loss = distillation_loss(
            self._parallel(x),
            original,
            labels,
            label_weight=settings.label_weight,
            temperature=settings.temperature,
        )
        if not math.isfinite(loss.item()):
            msg = (
                f"finetune: loss must stay finite, got {loss.item()} in step {self.step + 1}; "
                "lower finetune.lr or finetune.step_lr of the recipe"
            )
            raise ValueError(msg)
        self._optimizer.zero_grad()
        # The processes' gradients are averaged: shares that differ in size weigh as they should.
        weight = share * self._processes.count / self._batch_size
        (loss * weight).backward()
        if settings.clip_grad:
            nn.utils.clip_grad_norm_(self._learning.weights, settings.clip_grad)
        factor = rate(self.step, self.num_steps, settings.warmup)
        for group, largest in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = factor * largest
        self._optimizer.step()
        return loss.detach().double() * weight

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the average towards the parameters; early on faster, so that the start fades."""
        decay = min(self._settings.ema_decay, (1 + self.step) / (10 + self.step))
        current = self._learning.graph.parameters()
        for mean, parameter in zip(self._average.parameters(), current, strict=True):
            mean.lerp_(parameter, 1 - decay)

    def _end_epoch(self) -> None:
        totals = self._processes.gather(self._total)
        mean = torch.stack(totals).mean() / self.steps_per_epoch
        self._total = torch.zeros_like(self._total)
        record = {
            "epoch": self.step // self.steps_per_epoch,
            "lr": self._optimizer.param_groups[0]["lr"],
            "loss": round(mean.item(), 6),
        }
        self.history.append(record)
