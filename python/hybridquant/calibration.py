"""Images to calibrate with, whatever form the user has them in."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from hybridquant.distributed import ALONE, Processes


class Calibration:
    """Batches of images that can be gone through more than once.

    Args:
        source: A float tensor [images, channels, height, width]; an object with
            ``batches(batch_size)`` such as ``hybridquant.data.ImageData``; or an iterable (a list,
            a ``DataLoader``) of image batches or of ``(images, ...)`` tuples.
        batch_size: Images a batch, where this class cuts the batches itself.
        processes: Those that calibrate together: each has the same ``source`` and goes through its
            share of the batches. By default this process does all.

    Raises:
        TypeError: If ``source`` is none of these, or can be iterated only once, or ``batch_size``
            is no integer.
        ValueError: If ``batch_size`` is below 1.

    Example:
        >>> [tuple(x.shape) for x in Calibration(torch.zeros(5, 3, 8, 8), batch_size=2)]
        [(2, 3, 8, 8), (2, 3, 8, 8), (1, 3, 8, 8)]
    """

    def __init__(self, source: Any, batch_size: int = 32, processes: Processes = ALONE) -> None:
        if not isinstance(batch_size, int):
            msg = f"Calibration: batch_size must be an integer, got {batch_size!r}"
            raise TypeError(msg)
        if batch_size < 1:
            msg = f"Calibration: batch_size must be at least 1, got {batch_size}"
            raise ValueError(msg)
        if isinstance(source, Iterator):
            msg = (
                "Calibration: source must be iterable more than once, "
                f"got {type(source).__name__}; pass a list or a DataLoader"
            )
            raise TypeError(msg)
        if not (hasattr(source, "batches") or isinstance(source, Iterable)):
            msg = (
                "Calibration: source must be a tensor, ImageData, or an iterable of image "
                f"batches, got {type(source).__name__}"
            )
            raise TypeError(msg)
        self._source = source
        self._batch_size = batch_size
        self.processes = processes

    def __iter__(self) -> Iterator[Tensor]:
        """Yield float image batches [batch, channels, height, width].

        Raises:
            TypeError: If a batch is no float tensor.
            ValueError: If there is no batch, or a batch has other than four dimensions.
        """
        is_empty = True
        for batch in self._batches():
            is_empty = False
            yield _checked(batch[0] if isinstance(batch, tuple | list) and batch else batch)
        if is_empty:
            msg = "Calibration: source must hold at least one batch, got none"
            raise ValueError(msg)

    def __len__(self) -> int:
        """Return the number of batches.

        Raises:
            TypeError: If ``source`` does not know its length.
        """
        is_cut_here = isinstance(self._source, Tensor) or hasattr(self._source, "batches")
        return -(-len(self._source) // (self._batch_size if is_cut_here else 1))

    def share(self) -> Iterable[Tensor]:
        """Return this process's batches: a run of those that one process would go through alone.

        Raises:
            ValueError: If the processes do not have the same number of batches and the same first.
        """
        if self.processes.count == 1:
            return self
        first = hashlib.sha256(self.first().contiguous().cpu().numpy().tobytes()).hexdigest()
        num_batches = self._count()
        self.processes.check_same("Calibration: source", (num_batches, first))
        share = self.processes.share(num_batches)
        if not hasattr(self._source, "take") or isinstance(self._source, Tensor):
            return itertools.islice(self, share.start, share.stop)
        if not share:
            return ()
        start, stop = (self._batch_size * end for end in (share.start, share.stop))
        images = self._source.take(range(start, min(stop, len(self._source))))
        return Calibration(images, self._batch_size)

    def _count(self) -> int:
        try:
            return len(self)
        except TypeError:  # a source that does not know its length: go through it once
            return sum(1 for _ in self)

    def first(self) -> Tensor:
        """Return the first batch."""
        return next(iter(self))

    def _batches(self) -> Iterable[Any]:
        if isinstance(self._source, Tensor):
            return self._source.split(self._batch_size) if len(self._source) else ()
        if hasattr(self._source, "batches"):
            batches: Iterable[Any] = self._source.batches(self._batch_size)
            return batches
        source: Iterable[Any] = self._source
        return source


def _checked(batch: Any) -> Tensor:
    if not isinstance(batch, Tensor) or not torch.is_floating_point(batch):
        got = batch.dtype if isinstance(batch, Tensor) else type(batch).__name__
        msg = f"Calibration: batches must be float tensors, got {got}; apply the model's transform"
        raise TypeError(msg)
    if batch.ndim != 4:
        msg = (
            "Calibration: batches must be [batch, channels, height, width], "
            f"got shape {list(batch.shape)}"
        )
        raise ValueError(msg)
    return batch
