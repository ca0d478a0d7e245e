"""Tiny pictures to load."""

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybridquant.data import DataConfig

# Crops nothing and normalises by nothing, so that pixels can be compared.
PLAIN = DataConfig((3, 8, 8), "bilinear", 1.0, "squash", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.fixture
def plain() -> DataConfig:
    return PLAIN


@pytest.fixture
def encode() -> Callable[..., bytes]:
    def make(level: int = 0, size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.full((size[1], size[0], 3), level, np.uint8)).save(buffer, kind)
        return buffer.getvalue()

    return make


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[[Mapping[str, bytes]], Path]:
    def write(files: Mapping[str, bytes]) -> Path:
        root = tmp_path / "folder"
        root.mkdir()
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return root

    return write


@pytest.fixture
def write_tar(tmp_path: Path) -> Callable[[Mapping[str, bytes]], Path]:
    def write(files: Mapping[str, bytes]) -> Path:
        path = tmp_path / "images.tar"
        with tarfile.open(path, "w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    return write
