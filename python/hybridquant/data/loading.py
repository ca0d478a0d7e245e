"""Loading of image data by path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hybridquant.data.data_config import DataConfig
from hybridquant.data.drawing import draw
from hybridquant.data.folder_source import FolderSource
from hybridquant.data.image_data import ImageData
from hybridquant.data.source import Source, first_few, reject
from hybridquant.data.tar_source import TarSource

_OPENERS: dict[str, Callable[[Path], Source]] = {".tar": TarSource}


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
        source: A folder with one sub-folder a class, or with images only (no labels); or a
            ``.tar`` with members ``[split/]class/name.ext``.
        config: What the model expects, ``LoadedModel.data_config``.
        num_images: How many to draw, class-balanced, classes taking turns; by default all, in
            the order of the source (folders sorted, archives as they are).
        seed: Of that draw. The same seed draws the same images on every machine.
        classes: Names of the model's classes, in the order of its logits. The data's class names
            must be among them and get their indices; by default the data's sorted class names
            are counted from 0.
        require_labels: Whether images without labels are an error, as for an evaluation. They
            are too where ``classes`` is given.

    Raises:
        OSError: If the source is missing or cannot be read.
        ValueError: If it is of another kind, holds no image, fewer than ``num_images``, classes
            that the model does not know, or no labels where they are needed.
    """
    path = Path(source)
    opened = _open(path)
    if not opened.names:
        reject("source", "hold at least one image", f"{path} without any")
    if opened.targets is None and (require_labels or classes is not None):
        reject(
            "source",
            "have labels to evaluate on",
            f"{path} without class folders or label column",
            "arrange it as class/name.jpg",
        )
    labels, names = _labels(opened.targets, classes, path)
    if num_images is not None:
        order = _drawn(labels or [0] * len(opened.names), num_images, seed, path)
        opened = opened.take(order)
        labels = None if labels is None else [labels[i] for i in order]
    return ImageData(opened, config, labels, names, str(path))


def _open(path: Path) -> Source:
    if not path.exists():
        msg = f"load_data: source must exist, got {path}"
        raise FileNotFoundError(msg)
    if path.is_dir():
        return FolderSource(path)
    if path.suffix.lower() not in _OPENERS:
        reject("source", f"be a folder or end in {', '.join(sorted(_OPENERS))}", str(path))
    return _OPENERS[path.suffix.lower()](path)


def _labels(
    targets: Sequence[str] | Sequence[int] | None, classes: Sequence[str] | None, path: Path
) -> tuple[list[int] | None, tuple[str, ...] | None]:
    if targets is None:
        return None, None
    present = sorted({target for target in targets if isinstance(target, str)})
    names = tuple(present) if classes is None else tuple(classes)
    index = {name: i for i, name in enumerate(names)}
    unknown = [name for name in present if name not in index]
    if unknown:
        reject(
            "source",
            f"hold only classes of the model ({first_few(names)})",
            f"{path} with {first_few(unknown)}",
        )
    return [index[target] for target in targets if isinstance(target, str)], names


def _drawn(labels: Sequence[int], num_images: int, seed: int, path: Path) -> list[int]:
    if num_images < 1:
        reject("num_images", "be at least 1", str(num_images))
    if num_images > len(labels):
        reject("num_images", f"be at most {len(labels)}, the images in {path}", str(num_images))
    return draw(labels, num_images, seed)
