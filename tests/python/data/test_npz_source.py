"""NumPy archives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybridquant.data.npz_source import open_npz

PIXELS = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
FLOATS = np.linspace(-1, 1, 2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
BROKEN = np.where(np.arange(2).reshape(2, 1, 1, 1) == 1, np.float32(np.nan), FLOATS)


def save(folder: Path, **arrays: Any) -> Path:
    path = folder / "images.npz"
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("x", [PIXELS, FLOATS], ids=["pixels", "preprocessed"])
def test_reads_images_and_labels(tmp_path: Path, x: Any) -> None:
    source = open_npz(save(tmp_path, x=x, y=np.array([7, 2])))
    assert source.targets == [7, 2]
    np.testing.assert_array_equal(source.read(1), x[1])
    assert open_npz(save(tmp_path, x=x)).targets is None


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"images": PIXELS}, "source must have an array x, got .* with images"),
        ({"x": PIXELS[0]}, r"x must be uint8 .*, got uint8 \[4, 5, 3\]"),
        ({"x": FLOATS.astype(np.float64)}, r"x must be uint8 .*, got float64 \[2, 3, 4, 5\]"),
        ({"x": BROKEN}, "x must be finite, got NaN or infinity in image 1"),
        ({"x": PIXELS, "y": np.zeros(3, np.int64)}, r"y must be integers \[2\], got int64 \[3\]"),
        ({"x": PIXELS, "y": np.zeros(2)}, r"y must be integers \[2\], got float64 \[2\]"),
        ({"x": np.array([None])}, "source must be a whole .npz archive without objects"),
    ],
)
def test_refuses_other_arrays(tmp_path: Path, arrays: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"load_data: {text}"):
        open_npz(save(tmp_path, **arrays))


def test_refuses_damaged_archives(tmp_path: Path) -> None:
    path = save(tmp_path, x=PIXELS)
    content = path.read_bytes()
    for damaged in (b"", b"text", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"must be a whole .npz archive.*images"):
            open_npz(path)


def test_refuses_a_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", PIXELS)
    path = (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"must have an array x, got .* with nothing"):
        open_npz(path)
