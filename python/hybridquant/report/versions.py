"""The versions that can change a figure."""

from __future__ import annotations

import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a figure."""
    packages = ("hybridquant", "torch", "torchvision", "timm")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
