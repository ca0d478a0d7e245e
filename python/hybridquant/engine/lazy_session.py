"""A session of the engine that is made when it is needed."""

from __future__ import annotations

import os
import weakref

from hybridquant import _C

_MOST_THREADS = 1024  # as in the C API


def check_num_threads(num_threads: object) -> None:
    """Check a number of threads.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is not 1 to 1024.
    """
    if not isinstance(num_threads, int):
        msg = f"IntegerModel: num_threads must be an integer, got {num_threads!r}"
        raise TypeError(msg)
    if not 1 <= num_threads <= _MOST_THREADS:
        msg = f"IntegerModel: num_threads must be 1 to {_MOST_THREADS}, got {num_threads}"
        raise ValueError(msg)


class LazySession:
    """Makes the session of a model at its first use, and another in a forked process.

    Args:
        model: The model.
        num_threads: Of the engine, 1 to 1024.
    """

    def __init__(self, model: _C.Model, num_threads: int) -> None:
        self._model, self._num_threads = model, num_threads
        self._session: _C.Session | None = None
        _LIVING.add(self)

    def get(self) -> _C.Session:
        """Return the session."""
        if self._session is None:
            self._session = _C.Session(self._model, self._num_threads)
        return self._session


_LIVING: weakref.WeakSet[LazySession] = weakref.WeakSet()
# Sessions whose threads stayed in the parent process: to end one would wait for them for ever.
_LEFT_BEHIND: list[_C.Session] = []


def _leave_sessions_behind() -> None:
    """Let the models of a forked process make sessions of their own."""
    for lazy in _LIVING:
        if lazy._session is not None:
            _LEFT_BEHIND.append(lazy._session)
            lazy._session = None


os.register_at_fork(after_in_child=_leave_sessions_behind)
