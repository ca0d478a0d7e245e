"""The file from which a stopped run goes on."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hybridquant.distributed import ALONE, Processes
from hybridquant.export.files import write_atomically

CHECKPOINT_FILE = "checkpoint.pt"


class Checkpoint:
    """Keeps the state of a run in one file, which is whole at any time.

    Args:
        folder: Where the file is; it must exist.
        job: What has to be the same in the run that goes on, as plain data.
        minutes: Between two states within an epoch.
        processes: Those of the run; the first reads and writes.
    """

    def __init__(
        self,
        folder: Path,
        job: Mapping[str, Any],
        minutes: float,
        processes: Processes = ALONE,
    ) -> None:
        self.path = folder / CHECKPOINT_FILE
        self._job = dict(job)
        self._seconds, self._processes = 60 * minutes, processes
        self._saved_at = time.monotonic()

    def save(self, state: Mapping[str, Any], is_due: bool = True) -> None:
        """Write a state under a temporary name, then rename it.

        Args:
            state: What ``Trainer.state`` returned.
            is_due: Whether to write it however recent the last one is.

        Raises:
            OSError: If the folder cannot be written.
        """
        is_late = time.monotonic() - self._saved_at >= self._seconds
        if not self._processes.is_first or not (is_due or is_late):
            return
        buffer = io.BytesIO()
        torch.save({"job": self._job, "state": dict(state)}, buffer)
        write_atomically(self.path, buffer.getvalue())
        self._saved_at = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the state, None where there is no file.

        Raises:
            ValueError: If the file is damaged, or another job's; the text names what differs.
        """
        found = self._read() if self._processes.is_first and self.path.exists() else None
        return self._processes.gather(found)[0]

    def remove(self) -> None:
        """Remove the file, where there is one."""
        if self._processes.is_first:
            self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            job, state = content["job"], content["state"]
        except Exception as error:  # a damaged file raises whatever its bytes lead to
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            msg = f"finetune: {self.path} must be a whole checkpoint, got {reason!r}"
            raise ValueError(msg) from error
        for name, value in self._job.items():
            if job.get(name) != value:
                msg = (
                    f"finetune: {name} must be {job.get(name)!r} to go on from {self.path}, "
                    f"got {value!r}; give the same arguments, or remove the file"
                )
                raise ValueError(msg)
        return dict(state)
