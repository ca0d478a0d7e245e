"""Output folders are filled completely or left as they were."""

import os
import shutil
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from hybridquant.export import ArtifactFolder


def test_files_arrive_together_and_others_stay(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    target.mkdir(parents=True)
    (target / "mine.txt").write_text("kept")
    (target / "a.json").write_text("old")
    with ArtifactFolder(target) as out:
        out.write_json("a.json", {"b": 1})
        assert (target / "a.json").read_text() == "old"
    assert (target / "a.json").read_text() == '{\n  "b": 1\n}\n'
    assert (target / "mine.txt").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "a.json",
        "deep",
        "mine.txt",
        "out",
    ]


def test_files_of_an_earlier_run_go(tmp_path: Path) -> None:
    for name in ("a", "b", "mine"):
        (tmp_path / name).write_text("old")
    with pytest.raises(ValueError), ArtifactFolder(tmp_path, ["a", "b"]):
        raise ValueError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "mine"]
    with ArtifactFolder(tmp_path, ["a", "b", "c"]) as out:
        out.write_text("a", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a": "new",
        "mine": "old",
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    def fail_halfway() -> None:
        with ArtifactFolder(tmp_path / "deep" / "er" / "out") as out:
            out.write_text("a.txt", "half")
            raise error

    with pytest.raises(error):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_failing", [False, True])
def test_an_interruption_at_the_end_comes_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_failing: bool
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        rmtree(*arguments, **options)

    rmtree = shutil.rmtree
    with (
        nullcontext() if not is_failing else pytest.raises(KeyError),
        ArtifactFolder(tmp_path) as out,
    ):
        out.write_text("a.txt", "a")
        monkeypatch.setattr("hybridquant.export.artifacts.shutil.rmtree", interrupted)
        if is_failing:
            raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] * (not is_failing)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_file_in_the_way_is_an_error_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(NotADirectoryError, match="target must be a folder, got the file"):
        ArtifactFolder(tmp_path / "out").__enter__()


def test_a_folder_with_a_files_name_is_an_error_before_any_work(tmp_path: Path) -> None:
    folder = tmp_path / "a.json"
    folder.mkdir()
    with pytest.raises(
        IsADirectoryError, match=r"room for the file a.json, got the folder .*; move"
    ):
        ArtifactFolder(tmp_path, ["b.pt", "a.json"]).__enter__()
    assert list(tmp_path.iterdir()) == [folder]


def test_a_parent_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="target must be writable"):
        ArtifactFolder(tmp_path / "file" / "out").__enter__()


def test_numbers_json_has_no_form_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError), ArtifactFolder(tmp_path / "out") as out:
        out.write_json("a.json", {"sqnr_db": float("inf")})
