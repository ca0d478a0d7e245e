"""Running programs as several processes."""

import os
import subprocess
import sys

import pytest

TORCHRUN = ("torch.distributed.run", "--nproc-per-node=2", "--standalone")


@pytest.fixture
def run_python():
    """Return a function that runs a program and returns what it printed, or fails with its text."""

    def run(*arguments, is_parallel=False):
        options = ["-m", *TORCHRUN] if is_parallel else []
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *options, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run
