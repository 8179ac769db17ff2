"""Answers to one metric's figures: python -m stages.score score.metric=squad [override ...]"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import jsonl
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.option import build, nearest

ANSWERS = (Path("evaluation/base.jsonl"), Path("evaluation/tuned.jsonl"))
SCORES = Path("evaluation/scores")
METRICS = Path("metrics/score")


def score(metric: Any, answers: Sequence[jsonl.Record]) -> tuple[list[jsonl.Record], dict[str, Any]]:
    """Return a row of values per answer, and the figures per context and model with their n."""
    values = metric(answers)
    keys = ("id", "model", "context", "chunk")
    rows = [{k: row[k] for k in keys} | value for row, value in zip(answers, values, strict=True)]
    cells: dict[tuple[str, str], list[dict[str, float]]] = {}
    for row, value in zip(answers, values, strict=True):
        cells.setdefault((row["context"], row["model"]), []).append(value)
    figures: dict[str, Any] = {}
    for (context, model), cell in cells.items():
        summary = {name: round(value, 6) for name, value in metric.summary(cell).items()}
        figures.setdefault(context, {})[model] = summary | {"n": len(cell)}
    return rows, figures


@entrypoint
def main(config: DictConfig) -> None:
    """Write evaluation/scores/<metric>.jsonl and metrics/score/<metric>.json."""
    name = build(config, "score").metric
    if name not in config.metric:
        chosen = ", ".join(config.metric)
        raise FolioError(f"score.metric={name} is not among metric=[{chosen}]{nearest(name, config.metric)}")
    answers = [answer for path in ANSWERS for answer in jsonl.read(path)]
    rows, figures = score(build(config, f"metric.{name}"), answers)
    jsonl.write(SCORES / f"{name}.jsonl", rows)
    write_json(METRICS / f"{name}.json", figures)
    print(f"score: {name} of {len(rows)} answers")


if __name__ == "__main__":
    main()
