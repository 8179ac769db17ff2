"""Training curves as DVCLive plots, the same after a resumed run as after an uninterrupted one."""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dvclive import Live
from transformers import TrainerCallback

from stages.errors import FolioError

# What the trainer logs, and the plot that it goes to. Equal runs write equal bytes here.
FIGURES = {
    "loss": "train/loss",
    "eval_loss": "validation/loss",
    "eval_perplexity": "validation/perplexity",
    "eval_f1": "validation/f1",
    "eval_exact": "validation/exact",
    "eval_bertscore": "validation/bertscore",
    "learning_rate": "learning_rate",
    "grad_norm": "gradient_norm",
}
# The align stage's, of training and of validation pairs.
_MEANS = (
    "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen",
    "logps/rejected", "nll_loss", "kl",
)  # fmt: skip
SIDES = {"": "train", "eval_": "validation"}
PAIRS = {f"{start}{name}": f"{side}/{name}" for start, side in SIDES.items() for name in _MEANS}
# The reinforce stage's, of drawn answers and of greedy ones to held-out questions.
_DRAWN = (
    "reward", "reward_std", "frac_reward_zero_std", "worth", "kl", "entropy", "clip_ratio/region_mean",
    "completions/mean_length", "completions/clipped_ratio",
)  # fmt: skip
ANSWERS = {f"{start}{name}": f"{side}/{name}" for start, side in SIDES.items() for name in _DRAWN}
# Rewards, probes and controls go by names that a run chooses.
NAMED = ("parts/", "probes/", "controls/")
# Differs from run to run, so it stands apart.
SPEED = {"tokens_per_second": "tokens_per_second"}


class Curves(TrainerCallback):  # type: ignore[misc]
    """Writes each logged figure to plots/metrics/*.tsv as the run goes: to `folder`, throughput to `speed`.

    Of several processes the main one alone writes.
    """

    def __init__(self, folder: Path, speed: Path) -> None:
        self._folders = [(folder, FIGURES | PAIRS | ANSWERS), (speed, SPEED)]
        self._lives: list[tuple[Live, dict[str, str]]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write again what a killed run had logged before its last checkpoint."""
        if not state.is_world_process_zero:
            return
        self._lives = [
            (Live(str(folder), save_dvc_exp=False, dvcyaml=None), names) for folder, names in self._folders
        ]
        for entry in state.log_history:
            self._write(entry["step"], entry)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Write one step's figures."""
        self._write(state.global_step, logs)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the plots."""
        for live, _names in self._lives:
            live.end()

    def _write(self, step: int, figures: dict[str, Any]) -> None:
        for live, names in self._lives:
            live.step = step
            chosen = names | (named(figures) if "loss" in names else {})
            for name, curve in chosen.items():
                if name in figures:
                    live.log_metric(curve, figures[name])


def named(figures: Iterable[str]) -> dict[str, str]:
    """The plots of those figures whose names a run chooses."""
    return {
        name: f"{side}/{name.removeprefix(start)}"
        for start, side in SIDES.items()
        for name in sorted(figures)  # as a resumed run finds them
        if name.startswith(tuple(start + one for one in NAMED))
    }


class TensorBoard(TrainerCallback):  # type: ignore[misc]
    """Writes every number that is logged to `folder`, for TensorBoard to show; as `Curves` it resumes.

    Its files bear the hour in their names: keep `folder` out of what DVC caches.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    @staticmethod
    def check() -> None:
        """TensorBoard is no dependency of Folio's.

        Raises:
            FolioError: it is not installed.
        """
        if importlib.util.find_spec("tensorboard") is None:
            raise FolioError(
                "tensorboard=true needs tensorboard: `pip install tensorboard`, or set it to false"
            )

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Go on after the last checkpoint: what a killed run had written beyond it is hidden."""
        self.check()
        if state.is_world_process_zero:
            from torch.utils.tensorboard import SummaryWriter

            # The checkpoint's own step stays; a run that starts anew hides all that was there.
            purge = state.global_step + 1 if state.global_step else 0
            self._writer = SummaryWriter(str(self._folder), purge_step=purge)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Write one step's figures, under train/ or validation/."""
        if self._writer is None:
            return
        for name, value in logs.items():
            if isinstance(value, int | float):
                side, figure = ("validation", name[5:]) if name.startswith("eval_") else ("train", name)
                self._writer.add_scalar(f"{side}/{figure}", value, state.global_step)
        self._writer.flush()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
