import shutil
from pathlib import Path
from threading import Thread

import pytest
from filelock import FileLock

from stages import checkpoints


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIO_CACHE", str(tmp_path))
    return tmp_path


def save(place: Path, step: int, state: str = '{"global_step": 1}') -> Path:
    checkpoint = place / f"checkpoint-{step}"
    checkpoint.mkdir()
    (checkpoint / "adapter_model.safetensors").write_bytes(b"weights")
    (checkpoint / "trainer_state.json").write_text(state, encoding="utf-8")
    return checkpoint


def stop(place: Path, failure: type[BaseException]) -> None:
    save(place, 1)
    raise failure


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


# folder()


def test_a_finished_run_leaves_no_checkpoints(cache: Path) -> None:
    with checkpoints.folder("tokens", "settings") as place:
        assert place.parent == cache / "checkpoints"
        save(place, 1)
    assert not place.exists()
    with checkpoints.folder("tokens", "settings") as again:
        assert again == place
        assert names(again) == []


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_stopped_run_leaves_its_checkpoints_to_the_next(failure: type[BaseException]) -> None:
    with pytest.raises(failure), checkpoints.folder("tokens") as place:
        stop(place, failure)
    with checkpoints.folder("tokens") as again:
        assert checkpoints.last_whole(again) == place / "checkpoint-1"


@pytest.mark.parametrize("other", [("tokens", 2), (1, "tokens"), ("tokens1",), ("tokens", 1, "")])
def test_another_run_has_another_folder(other: tuple[object, ...]) -> None:
    with checkpoints.folder("tokens", 1) as one, checkpoints.folder(*other) as two:
        assert one != two
        save(one, 1)
        assert checkpoints.last_whole(two) is None


def test_an_equal_run_waits_and_then_has_the_folder() -> None:
    seen: list[bool] = []

    def equal_run() -> None:
        with checkpoints.folder("tokens") as place:
            seen.append(place.is_dir())

    with checkpoints.folder("tokens") as place:
        pass
    with FileLock(f"{place}.lock"):
        waiting = Thread(target=equal_run)
        waiting.start()
        waiting.join(timeout=0.3)
        assert waiting.is_alive()
        # What the run that goes first does when it has finished.
        shutil.rmtree(place, ignore_errors=True)
    waiting.join(timeout=30)
    assert seen == [True]


# last_whole()


def test_without_a_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert checkpoints.last_whole(tmp_path) is None


def test_the_newest_is_that_of_the_highest_step(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        save(tmp_path, step)
    assert checkpoints.last_whole(tmp_path) == tmp_path / "checkpoint-100"
    assert names(tmp_path) == ["checkpoint-100", "checkpoint-20", "checkpoint-9"]


@pytest.mark.parametrize("state", ["", '{"global_step": 1', "\0\0\0"])
def test_a_torn_checkpoint_is_removed_and_the_one_before_it_found(tmp_path: Path, state: str) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    save(tmp_path, 3, state)
    (save(tmp_path, 4) / "trainer_state.json").unlink()
    assert checkpoints.last_whole(tmp_path) == tmp_path / "checkpoint-2"
    assert names(tmp_path) == ["checkpoint-1", "checkpoint-2"]


def test_where_all_are_torn_the_run_starts_afresh(tmp_path: Path) -> None:
    save(tmp_path, 1, "")
    assert checkpoints.last_whole(tmp_path) is None
    assert names(tmp_path) == []


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "tmp-checkpoint-3").mkdir()
    (tmp_path / "runs").mkdir()
    save(tmp_path, 2)
    assert checkpoints.last_whole(tmp_path) == tmp_path / "checkpoint-2"
    assert names(tmp_path) == ["checkpoint-2", "runs", "tmp-checkpoint-3"]
