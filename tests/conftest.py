"""Settings for every test."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Let each test start with one torch thread: two are slow where another process is busy."""
    torch.set_num_threads(1)
