"""Every example in the package's docstrings prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import hybridquant

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(hybridquant.__path__, "hybridquant.")
    if not module.name.endswith(("__main__", "._C", ".libhybridquant_ops"))
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [t for name in MODULES for t in finder.find(importlib.import_module(name))]
    assert sum(bool(test.examples) for test in tests) > 20
