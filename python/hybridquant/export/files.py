"""Single files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def check_file_path(function: str, path: str | Path) -> None:
    """Check that a file can be written at ``path``, before work is done for it.

    Raises:
        FileNotFoundError: If its folder does not exist, or it is a folder itself.
    """
    if not Path(path).parent.is_dir() or Path(path).is_dir():
        msg = f"{function}: path must be a file in an existing folder, got {path}"
        raise FileNotFoundError(msg)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename it.

    Raises:
        OSError: If the folder cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        Path(name).write_bytes(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
