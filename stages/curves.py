"""Training curves as DVCLive plots, the same after a resumed run as after an uninterrupted one."""

from pathlib import Path
from typing import Any

from dvclive import Live
from transformers import TrainerCallback

# Seconds and throughput differ from run to run; they would make equal runs differ in bytes.
NAMES = {
    "loss": "train/loss",
    "eval_loss": "validation/loss",
    "learning_rate": "learning_rate",
    "grad_norm": "gradient_norm",
}


class Curves(TrainerCallback):  # type: ignore[misc]
    """Writes each logged figure to `folder`/plots/metrics/*.tsv as the run goes."""

    def __init__(self, folder: Path) -> None:
        self._live = Live(str(folder), save_dvc_exp=False, dvcyaml=None)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write again what a killed run had logged before its last checkpoint."""
        for entry in state.log_history:
            self._write(entry["step"], entry)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Write one step's figures."""
        self._write(state.global_step, logs)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the plots."""
        self._live.end()

    def _write(self, step: int, figures: dict[str, Any]) -> None:
        self._live.step = step
        for name, curve in NAMES.items():
            if name in figures:
                self._live.log_metric(curve, figures[name])
