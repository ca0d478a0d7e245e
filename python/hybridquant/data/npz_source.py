"""Images in a NumPy archive."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridquant.data.source import Source, first_few, reject


def open_npz(path: Path) -> Source:
    """Return the images of an ``.npz``, which is held in memory as it is.

    Args:
        path: An archive of ``x``, uint8 [images, height, width, 3] (pixels, to be preprocessed)
            or float32 [images, channels, height, width] (preprocessed already), and, where the
            images have labels, ``y``, integers [images].

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is damaged, or ``x`` or ``y`` has another form or is not finite.
    """
    arrays = _load(path)
    if "x" not in arrays:
        reject("source", "have an array x", f"{path} with {first_few(sorted(arrays)) or 'nothing'}")
    x, y = arrays["x"], arrays.get("y")
    is_pixels = x.ndim == 4 and x.dtype == np.uint8 and x.shape[3] == 3
    if not is_pixels and not (x.ndim == 4 and x.dtype == np.float32):
        reject(
            "x",
            "be uint8 [images, height, width, 3] or float32 [images, channels, height, width]",
            f"{x.dtype} {list(x.shape)} in {path}",
        )
    for position, image in enumerate(x):
        if not is_pixels and not np.isfinite(image).all():
            reject("x", "be finite", f"NaN or infinity in image {position} of {path}")
    return Source([f"x[{i}]" for i in range(len(x))], _targets(y, len(x), path), x.__getitem__)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # Opened here: np.load leaves the file open when it is damaged.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            # A single array (.npy) has no names.
            names = () if isinstance(archive, np.ndarray) else archive.files
            return {name: archive[name] for name in names}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        reject("source", "be a whole .npz archive without objects", f"{path} ({error})")


def _targets(y: NDArray[Any] | None, num_images: int, path: Path) -> list[int] | None:
    if y is None:
        return None
    if y.shape != (num_images,) or not np.issubdtype(y.dtype, np.integer):
        reject("y", f"be integers [{num_images}]", f"{y.dtype} {list(y.shape)} in {path}")
    return [int(label) for label in y]
