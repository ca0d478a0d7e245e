"""Where the development data are, and one thread for what takes long."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def shared() -> Path:
    """Return the development data, by HYBRIDQUANT_SHARED or beside the checkout."""
    folder = Path(os.environ.get("HYBRIDQUANT_SHARED", CHECKOUT.parent / "shared"))
    if not (folder / "data" / "imagenette_val.tar").is_file():
        pytest.skip(f"no data/imagenette_val.tar in {folder}; set HYBRIDQUANT_SHARED")
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread: more make a busy machine wait for itself."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
