"""Loading of image data by path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hybridquant.data.data_config import DataConfig
from hybridquant.data.drawing import draw
from hybridquant.data.folder_source import open_folder
from hybridquant.data.image_data import ImageData
from hybridquant.data.npz_source import open_npz
from hybridquant.data.parquet_source import open_parquet
from hybridquant.data.source import Source, first_few, reject
from hybridquant.data.tar_source import open_tar

_OPENERS: dict[str, Callable[[Path], Source]] = {
    ".npz": open_npz,
    ".parquet": open_parquet,
    ".tar": open_tar,
}


def load_data(
    source: str | Path,
    config: DataConfig,
    *,
    num_images: int | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    require_labels: bool = False,
) -> ImageData:
    """Return the images of a folder or file, preprocessed as ``config`` says when read.

    Args:
        source: A folder with one sub-folder a class, or with images only (no labels); a ``.tar``
            with members ``[split/]class/name.ext``; a ``.parquet`` with columns ``image`` and
            ``label``; an ``.npz`` with arrays ``x`` and ``y``. ``open_folder``, ``open_tar``,
            ``open_parquet`` and ``open_npz`` say more.
        config: What the model expects, ``LoadedModel.data_config``.
        num_images: How many to draw, class-balanced, classes taking turns; by default all, in
            the order of the source (folders sorted, files as they are).
        seed: Of that draw. The same seed draws the same images on every machine.
        classes: Names of the model's classes, in the order of its logits. The data's class names
            must be among them and get their indices; by default the data's sorted class names
            are counted from 0. Integer labels are indices already.
        require_labels: Whether images without labels are an error, as for an evaluation. They
            are one too where ``classes`` is given.

    Raises:
        ImportError: If a parquet file is given and pyarrow is not installed.
        OSError: If the source is missing or cannot be read.
        ValueError: If it is damaged or of another form, holds no image, fewer than
            ``num_images``, classes that the model does not know, or no labels where they are
            needed.
    """
    if num_images is not None and (not isinstance(num_images, int) or num_images < 1):
        reject("num_images", "be a whole number of at least 1", repr(num_images))
    path = Path(source)
    found = _open(path)
    if not found.names:
        reject("source", "hold at least one image", f"{path} without any")
    if found.targets is None and (require_labels or classes is not None):
        reject(
            "source",
            "have labels to evaluate on",
            f"{path} without any",
            "sort the images into folders named after their classes",
        )
    labels, names = _labels(found.targets, classes, path)
    if num_images is not None:
        order = _draw(labels or [0] * len(found.names), num_images, seed, path)
        found = found.take(order)
        labels = None if labels is None else [labels[position] for position in order]
    return ImageData(found, config, labels, names, str(path))


def _open(path: Path) -> Source:
    if not path.exists():
        msg = f"load_data: source must exist, got {path}"
        raise FileNotFoundError(msg)
    if path.is_dir():
        return open_folder(path)
    suffix = path.suffix.lower()
    if suffix not in _OPENERS:
        reject("source", f"be a folder or end in {', '.join(sorted(_OPENERS))}", str(path))
    return _OPENERS[suffix](path)


def _labels(
    targets: Sequence[str | int] | None, classes: Sequence[str] | None, path: Path
) -> tuple[list[int] | None, tuple[str, ...] | None]:
    """Return the class index of each image and the names of the classes."""
    if targets is None:
        return None, None
    indices = [target for target in targets if isinstance(target, int)]
    if indices:
        _check_indices(indices, classes, path)
        return indices, None if classes is None else tuple(classes)
    present = sorted({target for target in targets if isinstance(target, str)})
    names = present if classes is None else classes
    index_of = {name: index for index, name in enumerate(names)}
    unknown = [name for name in present if name not in index_of]
    if unknown:
        reject(
            "source",
            f"hold only classes of the model ({first_few(names)})",
            f"{path} with {first_few(unknown)}",
            "classes=None counts the data's own classes from 0",
        )
    return [index_of[target] for target in targets if isinstance(target, str)], tuple(names)


def _check_indices(indices: Sequence[int], classes: Sequence[str] | None, path: Path) -> None:
    if min(indices) < 0:
        reject("labels", "be at least 0", f"{min(indices)} in {path}")
    if classes is not None and max(indices) >= len(classes):
        limit = len(classes)
        reject("labels", f"be below {limit}, the model's classes", f"{max(indices)} in {path}")


def _draw(labels: Sequence[int], num_images: int, seed: int, path: Path) -> list[int]:
    if num_images > len(labels):
        limit = len(labels)
        reject("num_images", f"be at most {limit}, the images in {path}", str(num_images))
    return draw(labels, num_images, seed)
