"""What torch.export's errors mean for the model's author."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

import torch

from hybridquant.capture.errors import CaptureError, UnsupportedOperatorError

_STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"])
_PACKAGES = (Path(torch.__file__).parent, Path(__file__).parents[1])
# Texts of torch 2.11's errors about sizes or branches that depend on tensor values.
_VALUES = ("data-dependent", "item()", "_local_scalar_dense", "unbacked")


def reads_values(path: str | None, place: str = "") -> UnsupportedOperatorError:
    """Return the error for code that reads a tensor's value into Python.

    Args:
        path: Path of the module, None where it is not known.
        place: File, line and function, as far as they are known.
    """
    where = f" at {place}" if place else ""
    reason = f"lets tensor values decide sizes or branches{where}; use tensor operators instead"
    return UnsupportedOperatorError("aten._local_scalar_dense", path, reason)


def explain(error: Exception) -> Exception:
    """Return the one error that says what about the model cannot be exported."""
    text = str(error)
    place = _user_frame(error)
    taken = re.search(r"target (\w+)\.\S+ references nonexistent attribute", text)
    if taken:
        return CaptureError(
            f"capture: model must not have a module named {taken[1]!r}, which torch.export uses "
            "itself; rename it"
        )
    if isinstance(error, RecursionError):
        return CaptureError(
            "capture: model must not hold a dict, list or tuple that contains itself, got a "
            "RecursionError in torch.export; keep such attributes outside of the model"
        )
    if any(words in text for words in _VALUES):
        return reads_values(None, place)
    if "specializ" in text or "constraint" in text.lower():
        return CaptureError(
            "capture: model must work for any batch size, got code that fixes it; use x.shape[0] "
            "where it uses a number or len(x)"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    what = lines[0] if lines else type(error).__name__
    return CaptureError(
        f"capture: model must be traceable by torch.export, got {type(error).__name__}: {what}"
        f"{f' at {place}' if place else ''}; write that code in tensor operators"
    )


def _user_frame(error: Exception) -> str:
    """Return ``file.py:line (function)`` of the innermost frame of the model, or ``""``."""
    frame, found = error.__traceback__, ""
    while frame is not None:
        path = frame.tb_frame.f_code.co_filename
        if not (path.startswith("<") or _is_library(Path(path))):
            found = f"{Path(path).name}:{frame.tb_lineno} ({frame.tb_frame.f_code.co_name})"
        frame = frame.tb_next
    return found


def _is_library(path: Path) -> bool:
    """Say whether a file is torch's, ours or Python's own: no place a model is written in."""
    if any(path.is_relative_to(folder) for folder in _PACKAGES):
        return True
    return path.is_relative_to(_STANDARD_LIBRARY) and "site-packages" not in path.parts
