"""The command line, ``hybridquant COMMAND``: one command a file in this folder.

Exit codes: 0 done; 1 the command failed, or a check did not hold (one sentence on standard error
says why); 2 wrong usage (argparse); 70 a defect in hybridquant itself; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from hybridquant.capture import CaptureError
from hybridquant.distributed import ALONE, Processes, is_under_torchrun, join_processes
from hybridquant.registry import Registry

EXIT_FAILED = 1
EXIT_DEFECT = 70
EXIT_INTERRUPTED = 130

# What bad input raises, by STYLE: everything else is a defect of ours.
_INPUT_ERRORS = (
    ValueError,
    TypeError,
    NotImplementedError,
    OSError,
    ImportError,
    CaptureError,
)

Say = Callable[[str], None]


class CheckFailedError(Exception):
    """A check that does not hold: its result is printed all the same.

    Args:
        sentence: What must hold, and what was found.
        text: The result for a person.
        data: The result as plain data for ``--json``.
    """

    def __init__(self, sentence: str, text: str, data: Any) -> None:
        super().__init__(sentence)
        self.text = text
        self.data = data


class Command(Protocol):
    """A sub-command.

    One whose class says ``is_shared = True`` may be run by several processes at once, that torchrun
    started: ``args.processes`` are they, and all but the first have a temporary folder as
    ``args.out``. Any other command is run by the first alone.
    """

    help: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's own arguments; ``--json`` and ``--debug`` are everybody's."""

    def run(self, args: argparse.Namespace, say: Say) -> tuple[str, Any]:
        """Do the work.

        Args:
            args: The parsed arguments.
            say: Prints a line for a person at once; silent under ``--json``.

        Returns:
            The text for a person, and the same as plain data for ``--json``.

        Raises:
            CheckFailedError: If what the command checks does not hold.
        """


COMMANDS: Registry[type[Command]] = Registry("command", __name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: Arguments without the program's name; ``sys.argv[1:]`` by default.
    """
    args = _parser().parse_args(argv)
    is_shared = getattr(args.command, "is_shared", False)
    if is_under_torchrun() and not is_shared and os.environ["RANK"] != "0":
        return 0
    try:
        with _join(args) if is_shared else nullcontext():
            is_quiet = args.json or not _is_first(args)
            _show(args, *args.command.run(args, _be_silent if is_quiet else _print))
    except CheckFailedError as failure:
        _show(args, failure.text, failure.data)
        _complain(str(failure), args)
        return EXIT_FAILED
    except KeyboardInterrupt as stop:
        _complain(str(stop) or "interrupted; nothing was written", args)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except _INPUT_ERRORS as error:
        _complain(_sentence(error), args)
        return EXIT_FAILED
    except Exception as error:
        detail = f"{type(error).__name__}: {error}".splitlines()[0]
        _complain(f"a defect of hybridquant: {detail}; run again with --debug to report it", args)
        return EXIT_DEFECT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hybridquant", description="Quantize CNN-transformer hybrid vision transformers."
    )
    from hybridquant import __version__

    parser.add_argument("--version", action="version", version=f"hybridquant {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS.names():
        command = COMMANDS[name]()
        sub = commands.add_parser(name, help=command.help, description=command.help)
        command.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        sub.add_argument("--debug", action="store_true", help="show the trace-back of an error")
        sub.set_defaults(command=command)
    return parser


@contextmanager
def _join(args: argparse.Namespace) -> Iterator[None]:
    """Set ``args.processes``, and a temporary ``args.out`` in all but the first of them."""
    with join_processes() as args.processes, ExitStack() as stack:
        if hasattr(args, "out") and not args.processes.is_first:
            args.out = Path(stack.enter_context(TemporaryDirectory()))
        yield


def _is_first(args: argparse.Namespace) -> bool:
    processes: Processes = getattr(args, "processes", ALONE)
    return processes.is_first


def _show(args: argparse.Namespace, text: str, data: Any) -> None:
    if _is_first(args):
        _print(json.dumps(data, indent=2, allow_nan=False) if args.json else text)


def _print(text: str) -> None:
    if sys.stdout is not None:  # as it is where the shell closed it
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _be_silent(_text: str) -> None:
    """Say nothing: under ``--json`` standard output holds one document and nothing else."""


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        path = f"{error.filename} must be a path that can be used, got: " if error.filename else ""
        return path + error.strerror
    return str(error) or type(error).__name__


def _complain(sentence: str, args: argparse.Namespace) -> None:
    if sys.stderr is None:
        return
    if args.debug:
        traceback.print_exc()
    sys.stderr.write(f"hybridquant: error: {sentence}\n")
