"""An output folder that is either filled completely or left as it was."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any


class ArtifactFolder:
    """Collects files in a temporary folder and moves them into place at the end.

    Used as a context manager: when the block ends well, every file written below ``staging`` is
    renamed into ``target``; when it ends with an error or an interruption, nothing of it is left.
    Files already in ``target`` under other names stay, those of ``names`` go: where the block did
    not write one, it would be taken for a part of what it wrote. That ``target`` can be written is
    checked on entry, before any work is done.

    Args:
        target: The folder to fill; made when missing.
        names: Files that may be written, as far as they are known before the work.

    Raises:
        OSError: On entry, if ``target`` is a file, cannot be made or written, or holds a folder
            with one of ``names``.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with ArtifactFolder(Path(folder) / "out") as out:
        ...         _ = (out.staging / "a.txt").write_text("done")
        ...     print((Path(folder) / "out" / "a.txt").read_text())
        done
    """

    def __init__(self, target: str | Path, names: Iterable[str] = ()) -> None:
        self.target = Path(target)
        self._names = tuple(names)
        self._staging: Path | None = None
        self._made: list[Path] = []  # folders that did not exist before, innermost first

    @property
    def staging(self) -> Path:
        """Where to write; exists only inside the ``with`` block."""
        if self._staging is None:
            msg = "ArtifactFolder: staging is available inside the with block only"
            raise RuntimeError(msg)
        return self._staging

    def __enter__(self) -> ArtifactFolder:
        """Make the temporary folder inside the target, hence on the same file system."""
        if self.target.exists() and not self.target.is_dir():
            msg = f"ArtifactFolder: target must be a folder, got the file {self.target}"
            raise NotADirectoryError(msg)
        for name in self._names:
            if (self.target / name).is_dir():
                msg = (
                    f"ArtifactFolder: target must have room for the file {name}, "
                    f"got the folder {self.target / name}; move it away"
                )
                raise IsADirectoryError(msg)
        folders = [self.target, *self.target.parents]
        self._made = [folder for folder in folders if not folder.exists()]
        try:
            self.target.mkdir(parents=True, exist_ok=True)
            self._staging = Path(tempfile.mkdtemp(prefix=".partial.", dir=self.target))
        except OSError as error:
            self._remove_made()
            msg = f"ArtifactFolder: target must be writable, got {self.target} ({error.strerror})"
            raise OSError(msg) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Move the files into place, or drop them; Ctrl-C comes too late for either."""
        with _uninterrupted():
            try:
                if kind is None:
                    files = sorted(self.staging.iterdir())
                    for file in files:
                        file.replace(self.target / file.name)
                    for name in set(self._names) - {file.name for file in files}:
                        (self.target / name).unlink(missing_ok=True)
                    self._made = []
            finally:
                shutil.rmtree(self.staging, ignore_errors=True)
                self._staging = None
                self._remove_made()

    def _remove_made(self) -> None:
        for folder in self._made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 text file."""
        (self.staging / name).write_text(text, encoding="utf-8")

    def write_json(self, name: str, data: Any) -> None:
        """Write ``data`` as JSON with sorted keys.

        Raises:
            ValueError: If ``data`` holds a number JSON has no form for (NaN, infinity).
        """
        text = json.dumps(data, indent=2, sort_keys=True, allow_nan=False)
        self.write_text(name, text + "\n")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Ctrl-C goes to the main one
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
