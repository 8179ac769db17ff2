"""Checkpoints in the user's cache: a killed run goes on, a changed one starts afresh."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from stages import cache


@contextlib.contextmanager
def folder(*determinants: object) -> Iterator[Path]:
    """Yield the folder of the run that `determinants` determine; it is emptied on success.

    One run at a time holds it, so that two equal experiments do not write over each other; of the
    processes of a run on several devices the first holds it for all.
    """
    place = cache.folder() / "checkpoints" / cache.digest(*determinants)
    if os.environ.get("RANK", "0") != "0":
        yield place
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        place.mkdir(exist_ok=True)
        yield place
        shutil.rmtree(place, ignore_errors=True)


def last_whole(place: Path) -> Path | None:
    """The newest checkpoint that was written to its end; torn ones are removed."""
    found = sorted(place.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for checkpoint in reversed(found):
        if _is_whole(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def has_stopped(checkpoint: Path) -> bool:
    """Whether the run had decided to stop early when it wrote this checkpoint.

    A trainer that goes on from there would forget it and take another step.
    """
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    control = state.get("stateful_callbacks", {}).get("TrainerControl", {})
    return bool(control.get("args", {}).get("should_training_stop"))


def _is_whole(checkpoint: Path) -> bool:
    # The trainer writes this file last.
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
