"""The real train stage, killed: it goes on from its last checkpoint and ends in the same bytes."""

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.endpoint import start
from tests.training import PLAIN, prepared, written

KILLS = 5
STEPS = 24  # 32 rows, 4 a step, 3 epochs
WORDS = (*PLAIN, "train.save_steps=3")


def steps(folder: Path) -> int:
    """The last step that is in the log of the run that is going."""
    log = folder / "plots/train/plots/metrics/train/loss.tsv"
    try:
        return int(log.read_text(encoding="utf-8").splitlines()[-1].split("\t")[0])
    except (OSError, IndexError, ValueError):
        return 0


def stop(process: "subprocess.Popen[str]", folder: Path, step: int, by: int) -> str:
    """Send a signal once `step` steps are in the log of this process."""
    said = []
    while process.poll() is None and steps(folder) < step:
        time.sleep(0.002)
    process.send_signal(by)
    said.append(process.communicate(timeout=60)[0])
    return "".join(said)


def ends(process: "subprocess.Popen[str]") -> str:
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    return said


def test_killed_at_random_steps_it_ends_in_the_same_bytes(tmp_path: Path, tiny_model: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    named = prepared(whole, tiny_model)
    assert prepared(torn, tiny_model) == named
    ends(start("train", whole, *named, *WORDS))
    assert steps(whole) == STEPS
    draw = random.Random(0)  # noqa: S311
    for number, moment in enumerate(sorted(draw.sample(range(4, STEPS - 1), KILLS))):
        shutil.rmtree(torn / "plots", ignore_errors=True)  # as DVC does before a stage
        process = start("train", torn, *named, *WORDS)
        said = stop(process, torn, moment, signal.SIGINT if number == 1 else signal.SIGKILL)
        assert process.returncode == (130 if number == 1 else -signal.SIGKILL), said
        assert ("goes on from step" in said) == (number > 0)
    # A changed setting never goes on from another run's checkpoint, and leaves it alone.
    assert "goes on" not in ends(start("train", torn, *named, *WORDS, "train.steps=1"))
    assert "goes on from step" in ends(start("train", torn, *named, *WORDS))
    assert written(whole) == written(torn)
    assert not list((torn / "cache/checkpoints").glob("*/checkpoint-*"))
