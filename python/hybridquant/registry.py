"""Registries that fill themselves by scanning a folder: adding a thing is adding a file."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


def unknown_name(what: str, name: object, known: Iterable[str]) -> str:
    """Return the sentence for a name that is not known, with the closest valid ones.

    Args:
        what: What the name stands for, e.g. ``"observer"``.
        name: What was given.
        known: The valid names.

    Example:
        >>> unknown_name("observer", "minmx", ["minmax", "mse"])
        "unknown observer 'minmx'; did you mean minmax?"
        >>> unknown_name("observer", "zzz", ["minmax", "mse"])
        "unknown observer 'zzz'; known: minmax, mse"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
    return f"unknown {what} {name!r}; {hint}"


class Registry(Generic[T]):
    """Maps names to objects that the modules of one package register on import.

    The package is scanned once, on first use, so nothing has a list to edit. A file that cannot be
    imported raises its own error at every use. Threads may share a registry.

    Args:
        what: Singular noun for error texts, e.g. ``"observer"``.
        package: Dotted name of the package to scan.
    """

    def __init__(self, what: str, package: str) -> None:
        self.what = what
        self._package = package
        self._items: dict[str, T] = {}
        self._is_scanned = False
        # Reentrant: a module that is being scanned may ask its registry for names.
        self._lock = threading.RLock()
        self._is_scanning = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that stores its argument under ``name``.

        Raises:
            ValueError: If another object already has this name.
        """

        def store(item: T) -> T:
            if name in self._items:
                msg = f"Registry.register: {self.what} {name!r} is registered twice"
                raise ValueError(msg)
            self._items[name] = item
            return item

        return store

    def names(self) -> list[str]:
        """Return all registered names, sorted."""
        self._scan()
        return sorted(self._items)

    def __getitem__(self, name: str) -> T:
        """Return the object registered under ``name``.

        Raises:
            ValueError: If the name is unknown; the text names the closest valid ones.
        """
        self._scan()
        if name not in self._items:
            raise ValueError(unknown_name(self.what, name, self._items))
        return self._items[name]

    def _scan(self) -> None:
        if self._is_scanned:
            return
        with self._lock:
            if self._is_scanned or self._is_scanning:
                return
            self._is_scanning = True
            try:
                package = importlib.import_module(self._package)
                for module in pkgutil.iter_modules(package.__path__):
                    self._import(module.name)
                self._is_scanned = True
            finally:
                self._is_scanning = False

    def _import(self, name: str) -> None:
        before = dict(self._items)
        try:
            importlib.import_module(f"{self._package}.{name}")
        except BaseException:
            # What the module registered goes: at the next use it is imported again.
            self._items = before
            raise
