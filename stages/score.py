"""Answers to one metric's figures: python -m stages.score score.metric=squad [override ...]"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from stages import jsonl
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.figure import Metric
from stages.interval import Sample, difference, interval
from stages.option import build, nearest

ANSWERS = (Path("evaluation/base.jsonl"), Path("evaluation/tuned.jsonl"))
SCORES = Path("evaluation/scores")
METRICS = Path("metrics/score")
KEYS = ("id", "model", "context", "chunk")
# Numbers of questions at which is shown how the estimate settles.
SETTLING = (10, 20, 50, 100)

Value = dict[str, float]


def values(metric: Metric, answers: Sequence[jsonl.Record]) -> list[jsonl.Record]:
    """Return a row of values per answer; a figure that cannot be measured of it is not in its row."""
    return [
        {key: row[key] for key in KEYS} | value for row, value in zip(answers, metric(answers), strict=True)
    ]


def sample(rows: Sequence[jsonl.Record]) -> Sample:
    """The values of rows that have some, with their passages."""
    names = [key for key in rows[0] if key not in KEYS] if rows else []
    columns = {name: np.array([row[name] for row in rows], dtype=float) for name in names}
    return Sample(columns, [row["chunk"] for row in rows])


def cell(metric: Metric, base: list[jsonl.Record], tuned: list[jsonl.Record], seed: int) -> dict[str, Any]:
    """The figures of one context: of base, of tuned and of their difference, each with its interval.

    Both are measured on the same questions: those that have a value under both models.
    """
    common = {row["id"] for row in base if len(row) > len(KEYS)} & {
        row["id"] for row in tuned if len(row) > len(KEYS)
    }
    sides = {
        name: sorted((row for row in rows if row["id"] in common), key=lambda row: str(row["id"]))
        for name, rows in (("base", base), ("tuned", tuned))
    }
    samples = {name: sample(rows) for name, rows in sides.items()}
    counts = {"n": len(common), "passages": len({row["chunk"] for row in sides["base"]})}
    if left_out := len(base) - len(common):
        counts["not_measured"] = left_out
    if not common:
        return counts
    figures: dict[str, Any] = {
        name: rounded(interval(one, metric.figures, seed)) for name, one in samples.items()
    }
    gaps = difference(samples["base"], samples["tuned"], metric.figures, seed, metric.lower_is_better)
    figures["difference"] = rounded(gaps)
    return figures | counts


def rounded(found: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Figures as they stand in the file, six places."""
    return {
        name: {key: None if value is None else round(value, 6) for key, value in asdict(one).items()}
        for name, one in found.items()
    }


def settling(metric: Metric, rows: dict[str, list[jsonl.Record]], seed: int) -> list[dict[str, Any]]:
    """The cell over the first 10, 20, 50 and 100 questions by id, which is a hash, and over all."""
    ids = sorted({str(row["id"]) for row in rows["base"]})
    counts = [*(count for count in SETTLING if count < len(ids)), len(ids)]
    found = []
    for count in counts:
        first = set(ids[:count])
        base, tuned = ([row for row in rows[model] if str(row["id"]) in first] for model in ("base", "tuned"))
        found.append(cell(metric, base, tuned, seed))
    return found


def score(
    metric: Metric, answers: Sequence[jsonl.Record], seed: int
) -> tuple[list[jsonl.Record], dict[str, Any]]:
    """Return the rows of values, and per context the figures and how they settle as n grows."""
    rows = values(metric, answers)
    contexts: dict[str, dict[str, list[jsonl.Record]]] = {}
    for row in rows:
        contexts.setdefault(row["context"], {}).setdefault(row["model"], []).append(row)
    figures = {
        context: cell(metric, sides["base"], sides["tuned"], seed)
        | {"settling": settling(metric, sides, seed)}
        for context, sides in contexts.items()
    }
    return rows, figures


@entrypoint
def main(config: DictConfig) -> None:
    """Write evaluation/scores/<metric>.jsonl and metrics/score/<metric>.json."""
    settings = build(config, "score")
    name = settings.metric
    if name not in config.metric:
        chosen = ", ".join(config.metric)
        raise FolioError(f"score.metric={name} is not among metric=[{chosen}]{nearest(name, config.metric)}")
    answers = [answer for path in ANSWERS for answer in jsonl.read(path)]
    rows, figures = score(build(config, f"metric.{name}"), answers, settings.seed)
    jsonl.write(SCORES / f"{name}.jsonl", rows)
    write_json(METRICS / f"{name}.json", figures)
    print(f"score: {name} of {len(rows)} answers")


if __name__ == "__main__":
    main()
