"""The console command, outside the package so that a package that cannot be imported is told so."""

import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext


def main() -> int:
    """Run ``hybridquant`` and return its exit code."""
    with one_sentence():
        from hybridquant.cli import main as run

        return run()


@contextmanager
def one_sentence() -> Iterator[None]:
    """End the program with one sentence where an import fails or Ctrl-C comes in the block."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("hybridquant: error: interrupted; nothing was written\n")
        sys.exit(130)
    except (ImportError, OSError) as error:  # OSError: a library of torch's that does not load
        sys.stderr.write(f"hybridquant: error: {error}\n")
        sys.exit(1)


def one_sentence_under_python_m() -> AbstractContextManager[None]:
    """Return ``one_sentence()`` for ``python -m hybridquant``, else what does nothing.

    ``python -m hybridquant`` imports the package before its ``__main__`` can catch anything.
    """
    # While Python looks for the module, argv[0] is "-m" and the other arguments are the program's.
    is_program = sys.argv[:1] == ["-m"] and re.fullmatch(
        r"(-\w*m)?hybridquant", sys.orig_argv[-len(sys.argv)]
    )
    return one_sentence() if is_program else nullcontext()
