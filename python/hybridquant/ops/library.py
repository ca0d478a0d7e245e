"""Loads the compiled ops into torch; a library that cannot be loaded is one clear ImportError."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

LIBRARY = Path(__file__).resolve().parent.parent / "libhybridquant_ops.so"
OLDEST_TORCH = (2, 10)
REINSTALL = (
    "reinstall hybridquant with the Python that has torch: pip install --no-build-isolation ."
)


def load_library(path: Path = LIBRARY, torch_version: str = torch.__version__) -> None:
    """Load the ops library at ``path`` into torch.

    Args:
        path: The shared library.
        torch_version: The version of the running torch.

    Raises:
        ImportError: If torch is older than the library's target, or the library is missing or
            cannot be loaded; one sentence with the remedy.
    """
    major, minor = (int(part) for part in torch_version.split(".")[:2])
    if (major, minor) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        msg = f"hybridquant: torch must be {oldest} or later, got {torch_version}; upgrade torch"
        raise ImportError(msg)
    if not path.is_file():
        msg = f"hybridquant: the compiled library must be at {path}, but it is missing; {REINSTALL}"
        raise ImportError(msg)
    try:
        torch.ops.load_library(path)
    except OSError as error:
        reason = str(error).splitlines()[0]
        msg = f"hybridquant: torch {torch_version} cannot load {path} ({reason}); {REINSTALL}"
        raise ImportError(msg) from error


def check_operators(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Check that the loaded library has the operators this package calls, with the same arguments.

    Args:
        functions: Name of each operator to a function with its parameters.

    Raises:
        ImportError: If an operator is missing or has other arguments: the library is of another
            version than the package.
    """
    for name, function in functions.items():
        wanted = ", ".join(inspect.signature(function).parameters)
        operator = getattr(torch.ops.hybridquant, name, None)
        arguments = operator.default._schema.arguments if operator else []
        got = ", ".join(argument.name for argument in arguments)
        if got != wanted:
            msg = (
                f"hybridquant: the compiled library must have the operator {name}({wanted}), but "
                f"has {f'{name}({got})' if operator else 'none of this name'}; {REINSTALL}"
            )
            raise ImportError(msg)
