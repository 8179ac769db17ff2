"""Checkpoints between evaluations, so that a killed run loses minutes and not an epoch."""

from typing import Any

from transformers import TrainerCallback


class Saving(TrainerCallback):  # type: ignore[misc]
    """Asks for a checkpoint every `every` steps, but not where an epoch of `epoch` steps ends (0: nowhere).

    There the evaluation is followed by one; a run that went on from before that evaluation would miss it.
    """

    def __init__(self, every: int, epoch: int) -> None:
        self._every, self._epoch = every, epoch

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for one when it is time."""
        step = state.global_step
        if step % self._every == 0 and not (self._epoch and step % self._epoch == 0):
            control.should_save = True
