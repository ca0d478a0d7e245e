"""The console command, outside the package so that a package that cannot be imported is told so."""

import sys


def main() -> int:
    """Run ``hybridquant`` and return its exit code."""
    try:
        from hybridquant.cli import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("hybridquant: error: interrupted; nothing was written\n")
        return 130
    except ImportError as error:
        sys.stderr.write(f"hybridquant: error: {error}\n")
        return 1
