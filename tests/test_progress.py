import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

from stages.progress import QUIET, Progress, show
from tests.imports import ROOT

RUN = """
import stages.language_model  # keeps bitsandbytes quiet, as in the train stage
from types import SimpleNamespace
from stages.progress import Progress
state = SimpleNamespace(is_world_process_zero=True, global_step=2, max_steps=5)
shown = Progress()
shown.on_train_begin(None, state, None)
for step in (3, 4, 5):
    state.global_step = step
    shown.on_step_end(None, state, None)
    shown.on_log(None, state, None, logs={"loss": 1.5, "grad_norm": 1.0})
shown.on_prediction_step(None, state, None)
shown.on_log(None, state, None, logs={"eval_loss": 0.75, "eval_runtime": 3.0})
shown.on_train_end(None, state, None)
"""


class Run:
    """A training run on a clock of its own."""

    def __init__(self, step: int = 0, most: int = 10, main: bool = True) -> None:
        self.now = 0.0
        self.state = SimpleNamespace(is_world_process_zero=main, global_step=step, max_steps=most)
        self.progress = Progress(lambda: self.now)
        self.progress.on_train_begin(None, self.state, None)

    def step(self, seconds: float, **logs: Any) -> None:
        self.now += seconds
        self.state.global_step += 1
        self.progress.on_step_end(None, self.state, None)
        self.progress.on_log(None, self.state, None, logs=logs)


def test_in_a_log_an_evaluation_is_a_line_with_the_time_that_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Run(step=4)
    run.progress.on_log(None, run.state, None, logs={"eval_loss": 2.0})
    run.step(2.0, loss=1.5, grad_norm=3.0, learning_rate=0.1)
    run.step(2.0, loss=1.25)
    logs = {"eval_loss": 1.0, "eval_f1": 0.5, "eval_exact": 0.25, "eval_perplexity": 2.718, "epoch": 1.0}
    run.progress.on_log(None, run.state, None, logs=logs)
    said, bar = capsys.readouterr()
    # Two steps took four seconds; four are left.
    assert said.splitlines() == [
        "train: step 4 of 10: validation loss 2.000",
        "train: step 6 of 10: validation loss 1.000, perplexity 2.718, f1 0.500, exact 0.250, "
        "about 00:08 left",
    ]
    assert bar == ""


def test_a_long_epoch_gives_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(most=1000)
    for _ in range(100):
        run.step(QUIET / 40, loss=1.5)
    said = capsys.readouterr().out.splitlines()
    # 40 steps to a line.
    assert [line.split(":")[1] for line in said] == [" step 40 of 1000", " step 80 of 1000"]
    assert said[0] == "train: step 40 of 1000: loss 1.500, about 24:00 left"


def test_before_the_first_loss_a_line_tells_the_time_alone(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(most=3)
    run.step(2 * QUIET)
    assert capsys.readouterr().out == "train: step 1 of 3: about 04:00 left\n"


def test_a_process_that_is_not_the_main_one_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(main=False)
    run.step(2 * QUIET, eval_loss=1.0)
    run.progress.on_prediction_step(None, run.state, None)
    run.progress.on_train_end(None, run.state, None)
    assert capsys.readouterr() == ("", "")


def read(terminal: int) -> str:
    """What a terminal was sent next; nothing once its other end is closed."""
    try:
        return os.read(terminal, 4096).decode()
    except OSError:
        return ""


def test_a_terminal_gets_one_bar_with_the_losses_and_the_time_left() -> None:
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (24, 120))
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=ROOT, stdout=subprocess.PIPE, stderr=inner, text=True, check=True
    )
    os.close(inner)
    shown = "".join(iter(lambda: read(outer), ""))
    os.close(outer)
    assert done.stdout == "train: step 5 of 5: validation loss 0.750\n"
    last = shown.rstrip().split("\r")[-1]
    assert last.startswith("train: 100%")
    assert "5/5" in last
    assert "loss=1.500, validation loss=0.750" in last
    assert "validate:" in shown


@pytest.mark.parametrize("disable", [True, False])
def test_the_trainers_own_printing_goes(tmp_path: Path, disable: bool) -> None:
    arguments = TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=disable
    )
    trainer = Trainer(model=torch.nn.Linear(1, 1), args=arguments)
    show(trainer)
    names = [type(callback).__name__ for callback in trainer.callback_handler.callbacks]
    assert "Progress" in names
    assert not {"ProgressCallback", "PrinterCallback"} & set(names)
