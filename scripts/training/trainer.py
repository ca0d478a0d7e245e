"""The training loop, which can stop after any epoch and go on as if it had not."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hybridquant.models.state_dict import load_into, read_state_dict
from hybridquant.progress import track
from training.photographs import Photographs, plain_views, random_views
from training.processes import Processes
from training.settings import Settings

_EVALUATION_BATCH = 128
_SAME_IN_A_RUN = (
    "settings",
    "photographs",
    "decode_size",
    "processes",
    "precision",
    "initial_sha256",
)
History = list[dict[str, float]]


class Trainer:
    """Trains a model on photographs, an epoch at a time.

    The random numbers of an epoch depend on the seed, the epoch and the rank alone, so an epoch
    gives the same result whether the epochs before it ran in this process or in another.

    Args:
        settings: How to train.
        photographs: What to train on.
        processes: Which share of every batch this process takes.
        precision: Type of the forward pass, ``float32`` or ``bfloat16``.
        initial: Safetensors file of the weights to start from; None starts from random ones.
    """

    def __init__(
        self,
        settings: Settings,
        photographs: Photographs,
        processes: Processes,
        precision: torch.dtype,
        initial: Path | None = None,
    ) -> None:
        self.settings = settings
        self.epoch = 0
        self.history: History = []
        self._photographs = photographs
        self._processes = processes
        self._precision = precision
        self._local_batch = settings.batch_size // processes.count
        if not self._local_batch:
            raise ValueError(
                f"batch_size must be at least one image a process, got {settings.batch_size} for "
                f"{processes.count} processes"
            )
        self._steps = len(photographs) // (self._local_batch * processes.count)
        if not self._steps:
            raise ValueError(
                f"photographs must be at least one batch of {settings.batch_size}, "
                f"got {len(photographs)}"
            )
        torch.manual_seed(settings.seed)
        num_classes = len(photographs.classes)
        model = create_model(settings, num_classes)
        self.initial_sha256 = load_weights(model, initial) if initial else ""
        model = model.to(processes.device, memory_format=torch.channels_last)
        self._model = model
        self._parallel: nn.Module = model
        if processes.count > 1:
            self._parallel = DistributedDataParallel(model, find_unused_parameters=True)
        self.ema = ModelEmaV3(model, decay=settings.ema_decay, use_warmup=True)
        self._optimizer = create_optimizer_v2(
            model, settings.optimizer, lr=settings.lr, weight_decay=settings.weight_decay
        )
        self._schedule = CosineLRScheduler(
            self._optimizer,
            t_initial=settings.epochs * self._steps,
            warmup_t=settings.warmup_epochs * self._steps,
            t_in_epochs=False,
        )
        self._mixup = Mixup(
            settings.mixup,
            settings.cutmix,
            label_smoothing=settings.label_smoothing,
            num_classes=num_classes,
        )

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch and return ``epoch``, ``size``, ``lr`` and the mean ``loss``."""
        settings, size = self.settings, self.settings.size_at(self.epoch)
        order = self._start_epoch()
        self._parallel.train()
        total = torch.zeros((), device=self._processes.device)
        what = f"epoch {self.epoch + 1}/{settings.epochs}"
        for step in track(range(self._steps), what):
            number = self.epoch * self._steps + step
            self._schedule.step_update(number + 1)
            total += self._step(order[step], size)
            self.ema.update(self._model, step=number + 1)
        self.epoch += 1
        loss = self._processes.mean(total / self._steps).item()
        if not np.isfinite(loss):
            raise FloatingPointError(f"loss must stay finite, got {loss} in epoch {self.epoch}")
        lr = self._optimizer.param_groups[0]["lr"]
        return {"epoch": self.epoch, "size": size, "lr": lr, "loss": loss}

    def _start_epoch(self) -> Tensor:
        """Seed every generator and return this process's images, [steps, local batch]."""
        seed = self.settings.seed * 1_000_003 + self.epoch
        torch.manual_seed(seed)
        shape = (self._steps, self._processes.count, self._local_batch)
        order = torch.randperm(len(self._photographs))[: self._steps * shape[1] * shape[2]]
        seed = seed * 1_009 + self._processes.rank
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002, timm's Mixup draws from this generator.
        return order.reshape(shape)[:, self._processes.rank]

    def _step(self, positions: Tensor, size: int) -> Tensor:
        batch = self._photographs.take(positions)
        images = random_views(batch.images, size, self.settings)
        targets = batch.labels
        smoothing = self.settings.label_smoothing
        if self._mixup.mixup_enabled and (self.settings.mixup or self.settings.cutmix):
            images, targets = self._mixup(images, targets)
            smoothing = 0.0  # already in the targets
        with self._autocast():
            logits = self._parallel(images)
        # Distilled models give two logits while they train; without a teacher both are trained.
        heads = logits if isinstance(logits, tuple) else (logits,)
        losses = [F.cross_entropy(h.float(), targets, label_smoothing=smoothing) for h in heads]
        loss = torch.stack(losses).mean()
        self._optimizer.zero_grad()
        loss.backward()
        if self.settings.clip_grad:
            nn.utils.clip_grad_norm_(self._model.parameters(), self.settings.clip_grad)
        self._optimizer.step()
        return loss.detach()

    def _autocast(self) -> torch.autocast:
        is_mixed = self._precision != torch.float32
        dtype = self._precision if is_mixed else torch.bfloat16
        return torch.autocast(self._processes.device.type, dtype, enabled=is_mixed)

    def state(self) -> dict[str, Any]:
        """Return all that ``load_state`` needs to go on."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "photographs": self._photographs.sha256,
            "decode_size": self._photographs.images.shape[-1],
            "processes": self._processes.count,
            "precision": str(self._precision),
            "initial_sha256": self.initial_sha256,
            "epoch": self.epoch,
            "history": self.history,
            "model": self._model.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken.

        Raises:
            ValueError: If it was taken with other settings, photographs or initial weights.
        """
        own = self.state()
        for key in _SAME_IN_A_RUN:
            if state.get(key) != own[key]:
                raise ValueError(
                    f"{key} must be those of the run to go on with, {state.get(key)}, "
                    f"got {own[key]}; choose another --out for a new run"
                )
        self.epoch, self.history = state["epoch"], state["history"]
        self._model.load_state_dict(state["model"])
        self.ema.module.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])


def create_model(settings: Settings, num_classes: int) -> nn.Module:
    """Return the model of the settings with random weights.

    Raises:
        ValueError: If timm has no such model, or it does not take ``model_options``.
    """
    name, options = settings.model, settings.model_options
    if not timm.is_model(name):
        raise ValueError(f"model must be the name of a timm model, got {name!r}")
    try:
        model: nn.Module = timm.create_model(name, num_classes=num_classes, **options)
    except TypeError as error:
        raise ValueError(
            f"model_options must be arguments of {name}, got {options}: {error}"
        ) from None
    return model


def load_weights(model: nn.Module, path: Path) -> str:
    """Load a safetensors file into ``model`` and return the file's SHA-256.

    Raises:
        OSError: If the file is missing or cannot be read.
        ValueError: If it is damaged, or the weights are another model's.
    """
    load_into(model, read_state_dict(path), path, "the model of the settings")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@torch.no_grad()
def top1(model: nn.Module, photographs: Photographs, size: int) -> float:
    """Return the share of photographs that ``model`` classifies rightly, at ``size`` x ``size``."""
    was_training = model.training
    model.eval()
    hits = 0
    for start in range(0, len(photographs), _EVALUATION_BATCH):
        end = start + _EVALUATION_BATCH
        logits = model(plain_views(photographs.images[start:end], size))
        hits += int((logits.argmax(1) == photographs.labels[start:end]).sum())
    model.train(was_training)
    return hits / len(photographs)


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write a state under another name, then rename it, so that ``path`` is always whole."""
    partial = path.with_name(f".partial.{path.name}")
    torch.save(state, partial)
    partial.replace(path)


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what ``save_state`` wrote.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # A damaged file raises whatever its bytes lead to.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} must be a whole state of a run, got {reason!r}") from None
    return state
