"""One process or several: device, rank, and who writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that torchrun started.

    Args:
        device: Where it computes.
        rank: Its number.
        count: How many there are.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Return the mean of ``value`` over all processes."""
        if self.count > 1:
            torch.distributed.all_reduce(value)
            value = value / self.count
        return value


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """Join the processes of torchrun, where it started this one; leave them at the end.

    Args:
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ValueError: If ``device`` is another, or a GPU where there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, has_gpu = device.partition(":")[0], torch.cuda.is_available()
    if device != "cpu" and not (kind == "cuda" and has_gpu):
        got = f"{device}, and no GPU was found" if kind == "cuda" else device
        raise ValueError(f"--device must be auto, cpu, cuda or cuda:N, got {got}")
    if "RANK" not in os.environ:
        yield Processes(torch.device(device))
        return
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    torch.distributed.init_process_group(backend)
    try:
        yield Processes(torch.device(device), rank, count)
    finally:
        torch.distributed.destroy_process_group()
