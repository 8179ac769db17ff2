import errno
import math
from pathlib import Path

import pytest

from stages.artifact import read_json, whole_file, whole_folder, write_json, write_text
from stages.errors import FolioError
from tests.refusals import full_disk, locked


def fail_midway(path: Path) -> None:
    path.write_text("half", encoding="utf-8")
    raise RuntimeError("midway")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "made" / "on demand" / "a.txt"
    with whole_file(target) as path:
        path.write_text("whole", encoding="utf-8")
        assert not target.exists()
        assert path.parent == target.parent
    assert target.read_text(encoding="utf-8") == "whole"
    assert names(target.parent) == ["a.txt"]


def test_an_artifact_is_as_readable_as_any_other_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "plain.txt").write_text("x", encoding="utf-8")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError, match="midway"), whole_file(target) as path:
        fail_midway(path)
    assert target.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_stopped_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_folder_replaces_the_old_one_entirely(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "stale.bin").write_bytes(b"old")
    with whole_folder(target) as folder:
        (folder / "fresh.bin").write_bytes(b"new")
        assert names(target) == ["stale.bin"]
    assert names(target) == ["fresh.bin"]
    assert names(tmp_path) == ["model"]
    assert target.stat().st_mode & 0o777 == 0o755


def test_a_failing_block_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old.bin").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="midway"), whole_folder(target) as folder:
        fail_midway(folder / "half.bin")
    assert names(target) == ["old.bin"]
    assert names(tmp_path) == ["model"]


def test_a_full_disk_is_named_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with full_disk(), pytest.raises(FolioError, match=r"could not write .*a\.txt: .*free some space"):
        write_text(target, "new")
    assert target.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_keeps_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    with full_disk(), pytest.raises(FolioError, match="could not write"), whole_folder(target) as folder:
        (folder / "a.bin").write_bytes(b"new")
    assert names(tmp_path) == ["model"]


def test_a_full_disk_in_the_words_of_a_library_is_named_too(tmp_path: Path) -> None:
    # What safetensors raises: a type of its own without errno.
    words = "I/O error: No space left on device (os error 28)"
    with pytest.raises(FolioError, match=r"could not write .*model"), whole_folder(tmp_path / "model"):
        raise RuntimeError(words)


@pytest.mark.parametrize("folder", ["locked", "locked/below"])
def test_a_folder_that_refuses_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "locked").mkdir()
    target = tmp_path / folder / "a.txt"
    with locked(tmp_path / "locked"), pytest.raises(FolioError, match=r"could not write .*a\.txt"):
        write_text(target, "new")


def test_an_error_that_the_disk_did_not_make_stays_itself(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken pipe"), whole_file(tmp_path / "a.txt"):
        raise OSError(errno.EPIPE, "broken pipe")


def test_json_comes_back_as_it_went(tmp_path: Path) -> None:
    value = {"größe": [1, 2.5, None], "kept": {"in": 3}}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == value
    assert "größe" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_holds_no_figure_that_is_none(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": value})
    assert names(tmp_path) == []


def test_a_missing_json_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"a\.json is missing; run `dvc repro`"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FolioError, match=r"a\.json is no JSON"):
        read_json(tmp_path / "a.json")
