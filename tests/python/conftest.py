"""Small things that many tests need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

DATA = Path(__file__).parents[1] / "data"
TORCHRUN = ("torch.distributed.run", "--nproc-per-node=2", "--standalone")


class TinyHybrid(nn.Module):
    """A convolution, a depthwise convolution, one attention over tokens, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = x + self.depthwise(x)
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        q, k, v = self.qkv(tokens).chunk(3, dim=-1)
        tokens = (q @ k.transpose(1, 2)).softmax(-1) @ v
        return self.head(tokens.mean(1))


@pytest.fixture
def tiny_model() -> nn.Module:
    torch.manual_seed(0)
    return TinyHybrid().eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def photographs() -> Path:
    """Return the folder with the labelled sample."""
    return DATA


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
            timeout=600,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run
