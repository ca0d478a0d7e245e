"""One process or several: who this one is, and which share of the work is its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that work on one job; by default it is alone.

    Args:
        rank: Its number, from 0.
        count: How many there are.

    Example:
        >>> [list(Processes(rank, 3).share(7)) for rank in range(3)]
        [[0, 1, 2], [3, 4], [5, 6]]
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def share(self, num_items: int) -> range:
        """Return the positions of this process's items, a run of consecutive ones.

        The shares follow each other in the order of the ranks and differ by at most one item, the
        first being the larger: what processes gather is in the order of one process that does all.
        """
        size, rest = divmod(num_items, self.count)
        start = self.rank * size + min(self.rank, rest)
        return range(start, start + size + (self.rank < rest))

    def gather(self, value: T) -> list[T]:
        """Return the ``value`` of every process, in the order of the ranks.

        Args:
            value: What can be pickled. Every process must call this, in the same order.
        """
        if self.count == 1:
            return [value]
        values: list[T | None] = [None] * self.count
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def check_same(self, what: str, value: object) -> None:
        """Check that ``value`` is equal in every process.

        Args:
            what: Function and argument, for the error.
            value: What can be pickled and compared.

        Raises:
            ValueError: If it is not.
        """
        for rank, other in enumerate(self.gather(value)):
            if other != value:
                msg = f"{what} must be the same in every process, got another in process {rank}"
                raise ValueError(msg)


ALONE = Processes()


def is_under_torchrun() -> bool:
    """Tell whether torchrun started this process."""
    return dist.is_available() and "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Join the processes that torchrun started with this one; leave them at the end.

    Without torchrun the process is alone. Where the program has a process group already, that one
    is used, and stays. Tensors on a CPU travel by gloo, those on a GPU by NCCL.
    """
    if dist.is_available() and dist.is_initialized():
        yield Processes(dist.get_rank(), dist.get_world_size())
        return
    if not is_under_torchrun():
        yield Processes()
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
