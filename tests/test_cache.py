import shutil
from itertools import combinations
from pathlib import Path

import platformdirs
import pytest

from stages import cache
from stages.errors import FolioError
from tests.refusals import locked


def test_the_users_choice_is_honoured_and_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIO_CACHE", str(tmp_path / "my" / "cache"))
    assert cache.folder() == tmp_path / "my" / "cache"
    assert cache.folder().is_dir()


def test_a_relative_choice_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLIO_CACHE", "near")
    assert cache.folder() == tmp_path / "near"


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FOLIO_CACHE", "~/cache")
    assert cache.folder() == tmp_path / "cache"


@pytest.mark.parametrize("choice", [None, ""])
def test_without_a_choice_it_is_the_platforms_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if choice is None:
        monkeypatch.delenv("FOLIO_CACHE", raising=False)
    else:
        monkeypatch.setenv("FOLIO_CACHE", choice)
    assert cache.folder() == Path(platformdirs.user_cache_dir("folio"))
    assert tmp_path in cache.folder().parents


def test_a_place_that_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIO_CACHE", str(tmp_path / "locked" / "cache"))
    (tmp_path / "locked").mkdir()
    with locked(tmp_path / "locked"), pytest.raises(FolioError, match="FOLIO_CACHE"):
        cache.folder()


def test_a_place_that_is_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("FOLIO_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FolioError, match="FOLIO_CACHE"):
        cache.folder()


def test_a_digest_is_the_same_today_and_tomorrow() -> None:
    # { printf '\0\0\0\0\0\0\0\1a'; printf '\0\0\0\0\0\0\0\2bc'; } | sha256sum | cut -c -32
    assert cache.digest("a", "bc") == "3fafa1cf2f19a7c1129beb20cf0983f7"


def test_order_and_bounds_of_the_parts_matter() -> None:
    parts: list[tuple[object, ...]] = [("a", "bc"), ("bc", "a"), ("ab", "c"), ("abc",), ("a", "bc", ""), ()]
    assert all(cache.digest(*one) != cache.digest(*other) for one, other in combinations(parts, 2))


def test_parts_may_be_bytes_numbers_and_tuples() -> None:
    assert cache.digest("größe") == cache.digest("größe".encode())
    assert cache.digest(1, (2, 0.7)) == cache.digest("1", "(2, 0.7)")
    assert cache.digest(1) != cache.digest(1.0)


def test_the_digest_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    def sealed(folder: str, base: str) -> str:
        return cache.digest(base, *cache.contents(tmp_path / folder))

    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x.bin").write_bytes(b"1")
    before = sealed("a", "base")
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    assert sealed("c", "base") == before
    assert sealed("a", "other") != before
    (tmp_path / "a/b/x.bin").write_bytes(b"2")
    assert sealed("a", "base") != before
    (tmp_path / "a/b/x.bin").write_bytes(b"1")
    (tmp_path / "a/b/x.bin").rename(tmp_path / "a/b/y.bin")
    assert sealed("a", "base") != before
