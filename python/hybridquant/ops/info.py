"""What was compiled, by what, for which torch and processor."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TypedDict

from hybridquant.ops.library import REINSTALL

try:
    from hybridquant import _C
except ImportError as error:
    message = f"hybridquant: the compiled module _C must fit this Python, but {error}; {REINSTALL}"
    raise ImportError(message) from error


def check_version(package: str) -> None:
    """Check that the compiled module was built for version ``package`` of the package.

    Raises:
        ImportError: If it was built for another.
    """
    built = _C.build_info()["version"]  # the numbers alone, without rc1 and the like
    if not re.fullmatch(rf"{re.escape(built)}(?!\d).*", package):
        msg = f"hybridquant: _C must be of version {package}, but it is of {built}; {REINSTALL}"
        raise ImportError(msg)


check_version(version("hybridquant"))


class BuildInfo(TypedDict):
    """Facts about the compiled parts."""

    version: str
    compiler: str
    torch_target: str
    available_isas: list[str]
    isa: str


def build_info() -> BuildInfo:
    """Return the version, compiler, oldest torch and instruction sets of the compiled parts.

    Example:
        >>> sorted(build_info())
        ['available_isas', 'compiler', 'isa', 'torch_target', 'version']
    """
    info: BuildInfo = _C.build_info()
    return info
