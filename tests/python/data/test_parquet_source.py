"""Parquet files."""

import sys
from pathlib import Path
from typing import Any

import pytest

from hybridquant.data.parquet_source import open_parquet

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

IMAGES = [b"zero", b"one", b"two", b"three", b"four"]


def save(folder: Path, **columns: Any) -> Path:
    path = folder / "images.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=2)
    return path


@pytest.mark.parametrize("labels", [[3, 1, 4, 1, 5], ["c", "a", "d", "a", "e"]])
@pytest.mark.parametrize("is_struct", [False, True], ids=["binary", "struct"])
def test_reads_rows_in_any_order(tmp_path: Path, labels: list[Any], is_struct: bool) -> None:
    column = [{"bytes": image, "path": None} for image in IMAGES] if is_struct else IMAGES
    source = open_parquet(save(tmp_path, image=column, label=labels))
    assert source.targets == labels
    assert [source.read(i) for i in (4, 0, 3)] == [b"four", b"zero", b"three"]
    taken = source.take([4, 0, 3])
    assert [taken.read(i) for i in range(3)] == [b"four", b"zero", b"three"]
    assert (taken.names, taken.targets) == (
        ["row 4", "row 0", "row 3"],
        [labels[4], *labels[0:4:3]],
    )


def test_labels_are_optional(tmp_path: Path) -> None:
    assert open_parquet(save(tmp_path, image=IMAGES)).targets is None


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"picture": IMAGES}, "source must have a column image, got .* with picture"),
        ({"image": IMAGES, "label": [0, 1, None, 3, 4]}, "label must be integers or class names"),
        ({"image": IMAGES, "label": [0.5] * 5}, "label must be integers.*got float in"),
    ],
)
def test_refuses_other_columns(tmp_path: Path, columns: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"load_data: {text}"):
        open_parquet(save(tmp_path, **columns))


@pytest.mark.parametrize("cell", [None, {"bytes": None, "path": "x.jpg"}])
def test_refuses_rows_without_an_image(tmp_path: Path, cell: Any) -> None:
    source = open_parquet(save(tmp_path, image=[cell]))
    with pytest.raises(
        ValueError, match=r"image must be bytes.* got NoneType in row 0 of .*parquet"
    ):
        source.read(0)


def test_refuses_damaged_files(tmp_path: Path) -> None:
    path = save(tmp_path, image=IMAGES)
    for damaged in (b"", path.read_bytes()[:-20]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"must be a whole parquet file, got .*parquet"):
            open_parquet(path)


def test_says_how_to_get_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"pip install 'hybridquant\[parquet\]'"):
        open_parquet(tmp_path / "images.parquet")
