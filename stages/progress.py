"""How far a training run is: one bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tqdm import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

if TYPE_CHECKING:
    from transformers import Trainer

# Seconds between two lines in a log: a reader sees that the run lives, and a day of it stays readable.
QUIET = 60.0
# What a line says of an evaluation, in this order, where it was measured.
FIGURES = {
    "eval_loss": "validation loss",
    "eval_perplexity": "perplexity",
    "eval_f1": "f1",
    "eval_exact": "exact",
    "eval_bertscore": "bertscore",
    "eval_rewards/accuracies": "accuracy",
    "eval_rewards/margins": "margin",
    "eval_reward": "held-out reward",
    "eval_kl": "divergence",
    "eval_probes/words": "words",
    "eval_probes/empty": "empty",
}


class Progress(TrainerCallback):  # type: ignore[misc]
    """Shows step, losses and the time that is left; a line on standard output for each evaluation.

    Of several processes the main one alone shows anything.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, stage: str = "train") -> None:
        self._clock, self._stage = clock, stage
        self._bar: tqdm[Any] | None = None
        self._begun = self._said = 0.0
        self._first = self._shown = 0
        self._losses: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the bar where the run stands: a resumed one is not at its start."""
        if not state.is_world_process_zero:
            return
        self._begun = self._said = self._clock()
        self._first = self._shown = state.global_step
        # The mean speed of the whole run, evaluations included: they are part of what is left.
        self._bar = tqdm(
            total=state.max_steps,
            initial=self._first,
            desc=self._stage,
            unit="step",
            smoothing=0,
            dynamic_ncols=True,
            disable=None,
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the bar on; in a log say where the run is, at most once in QUIET seconds."""
        if self._bar is None:
            return
        self._bar.update(state.global_step - self._shown)
        self._shown = state.global_step
        if self._bar.disable and self._clock() - self._said >= QUIET:
            self._say(state, [f"{name} {loss}" for name, loss in self._losses.items()])

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say on the bar, which stands still meanwhile, what keeps it."""
        if self._bar is not None:
            self._bar.set_description_str("validate")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Show the losses, and a line where the entry is an evaluation's."""
        if self._bar is None:
            return
        for key, name in (("loss", "loss"), ("eval_loss", "validation loss")):
            if key in logs:
                self._losses[name] = f"{logs[key]:.3f}"
        self._bar.set_postfix(self._losses, refresh=False)
        if said := [f"{name} {logs[key]:.3f}" for key, name in FIGURES.items() if key in logs]:
            self._bar.set_description_str(self._stage, refresh=False)
            self._say(state, said)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def _say(self, state: Any, words: list[str]) -> None:
        """Print a line above the bar."""
        self._said = self._clock()
        rest = ", ".join([*words, *self._left(state)])
        tqdm.write(f"{self._stage}: step {state.global_step} of {state.max_steps}: {rest}")
        sys.stdout.flush()

    def _left(self, state: Any) -> list[str]:
        """The time that the remaining steps take at the speed of those done; nothing before the first."""
        done, left = state.global_step - self._first, state.max_steps - state.global_step
        if done <= 0 or left <= 0:
            return []
        seconds = (self._clock() - self._begun) / done * left
        return [f"about {tqdm.format_interval(seconds)} left"]


def show(trainer: "Trainer", stage: str = "train") -> None:
    """Put a `Progress` where the trainer would print its log as dictionaries."""
    for usual in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(usual)
    trainer.add_callback(Progress(stage=stage))
