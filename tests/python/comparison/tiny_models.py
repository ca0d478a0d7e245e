"""Factories of tiny models, which the processes of cells import as well."""

import os
import signal

import torch
from torch import Tensor, nn


class Tiny(nn.Module):
    """Two convolutions, of which the first may have outliers, and a classifier."""

    data_config = {"input_size": (3, 16, 16)}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, stride=2)
        self.second = nn.Conv2d(16, 8, 3)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(torch.relu(self.first(x))).mean((2, 3)))


class Killed(Tiny):
    """Ends its process as Linux does where memory runs out, once it sees many images."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


class Sorting(Tiny):
    """Works in float32, but cannot be captured."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sort(dim=1).values


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return Tiny()


def killed() -> nn.Module:
    return Killed()


def sorting() -> nn.Module:
    torch.manual_seed(0)
    return Sorting()
