"""What was compiled, by what, for which torch and processor."""

from __future__ import annotations

from typing import TypedDict

from hybridquant.ops.library import REINSTALL

try:
    from hybridquant import _C
except ImportError as error:
    message = f"hybridquant: the compiled module _C must fit this Python, but {error}; {REINSTALL}"
    raise ImportError(message) from error


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
