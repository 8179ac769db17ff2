"""Every fold as a DVC experiment, mean and spread in a table: python -m stages.crossvalidate method.r=8"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from stages import cache, sweep
from stages.artifact import write_text
from stages.compose import validate
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.report import table
from stages.template import render

TABLE = Path("report/folds.md")
RECIPE = "experiment=kfold"

Cell = tuple[str, str]  # a figure and its context


@dataclass(frozen=True)
class Fold:
    """What one finished fold measured."""

    number: int
    experiment: str
    values: dict[Cell, tuple[float, float]]  # base, tuned
    validation: int  # rows
    held_out: int  # questions
    asked: int  # of them


def with_folds(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """The overrides that all folds share: with the recipe `kfold` where nothing else makes folds.

    Raises:
        FolioError: one chooses a fold, or another recipe is chosen and makes none.
    """
    keys = [override.lstrip("+~").partition("=")[0] for override in overrides]
    if "tokenize.fold" in keys:
        raise FolioError("tokenize.fold is what a cross-validation goes through; leave it out")
    if OmegaConf.select(config, "tokenize.folds"):
        return list(overrides)
    if "tokenize.folds" in keys:
        raise FolioError("tokenize.folds=0 makes no folds; choose 2 or more")
    if "experiment" in keys or HydraConfig.get().runtime.choices.get("experiment"):
        raise FolioError("the chosen recipe makes no folds; add tokenize.folds=5")
    return [*overrides, RECIPE]


def run_name(overrides: Sequence[str], config: DictConfig) -> str:
    """What the names of all folds begin with: other settings, typed or in conf/, are another run."""
    label = sweep.experiment_name(overrides) if overrides else "crossvalidate"
    return f"{label}-{cache.digest(OmegaConf.to_yaml(config, resolve=True))[:6]}"


def read(number: int, experiment: str, metrics: Sequence[str]) -> Fold:
    """The figures of a fold's experiment.

    Raises:
        FolioError: one of its files cannot be read.
    """
    files = {name: f"metrics/{name}.json" for name in ("train", "tokenize", "evaluate")}
    stage = {name: sweep.figures(experiment, file) for name, file in files.items()}
    scores = {name: sweep.figures(experiment, f"metrics/score/{name}.json") for name in metrics}
    loss = stage["train"]["loss"]
    values = {("validation loss per target token", "validation rows"): (loss["before"], loss["after"])}
    values |= {(row["figure"], row["context"]): (row["base"], row["tuned"]) for row in table(scores)}
    counts = (
        stage["tokenize"]["validation"],
        stage["tokenize"]["test"],
        stage["evaluate"]["questions"]["kept"],
    )
    return Fold(number, experiment, values, *counts)


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1); of a single value there is none."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def summary(folds: Sequence[Fold]) -> list[dict[str, Any]]:
    """One row per figure and context: mean and spread over the folds of base, tuned and tuned - base."""
    rows = []
    for cell in dict.fromkeys(cell for fold in folds for cell in fold.values):
        pairs = [fold.values[cell] for fold in folds if cell in fold.values]
        columns = ([base for base, _ in pairs], [tuned for _, tuned in pairs], [b - a for a, b in pairs])
        spreads = [spread(column) for column in columns]
        rows.append({"figure": cell[0], "context": cell[1], "spreads": spreads, "folds": len(pairs)})
    return rows


def run_folds(
    overrides: Sequence[str], run: str, count: int, metrics: Sequence[str]
) -> tuple[list[Fold], dict[int, str]]:
    """Run every fold, whatever becomes of the others; return those that finished and why others did not."""
    finished, failed = [], {}
    for number in range(count):
        name = f"{run},fold={number}"
        print(f"crossvalidate: fold {number} ({number + 1} of {count}): experiment {name}", flush=True)
        try:
            sweep.run([*overrides, f"tokenize.fold={number}"], name)
            finished.append(read(number, name, metrics))
        except FolioError as error:
            failed[number] = str(error)
            print(f"crossvalidate: fold {number} failed: {error}", flush=True)
    return finished, failed


def told(failed: dict[int, str], count: int) -> str:
    """The folds that failed and why, each reason once."""
    reasons: dict[str, list[str]] = {}
    for number, reason in failed.items():
        reasons.setdefault(reason, []).append(str(number))
    each = "; ".join(f"fold {', '.join(numbers)}: {reason}" for reason, numbers in reasons.items())
    return f"{len(failed)} of {count} folds failed: {each}"


@entrypoint
def main(config: DictConfig) -> None:
    """Run every fold, then print the table and write report/folds.md."""
    typed = list(HydraConfig.get().overrides.task)
    overrides = with_folds(typed, config)
    config = compose("config", overrides)
    validate(config)
    sweep.check_documents()
    count = config.tokenize.folds
    finished, failed = run_folds(overrides, run_name(typed, config), count, list(config.metric))
    if finished:
        text = render(
            "folds.md", {"count": count, "folds": finished, "failed": failed, "rows": summary(finished)}
        )
        write_text(TABLE, text)
        print(f"\n{text}")
    if failed:
        raise FolioError(told(failed, count))


if __name__ == "__main__":
    main()
