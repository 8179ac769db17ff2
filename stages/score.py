"""Answers to one metric's figures: python -m stages.score score.metric=squad [override ...]"""

from collections.abc import Collection, Mapping, Sequence
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
from stages.interval import Interval, Sample, difference, draw, interval
from stages.option import build, nearest

ANSWERS = (Path("evaluation/base.jsonl"), Path("evaluation/tuned.jsonl"))
LEAKS = Path("data/leaks.jsonl")
SCORES = Path("evaluation/scores")
METRICS = Path("metrics/score")
KEYS = ("id", "model", "context", "chunk")
# The contexts of the test side, whose questions training should not have seen.
HELD_OUT = ("open", "closed")
# Numbers of questions at which is shown how the estimate settles.
SETTLING = (10, 20, 50, 100)


def values(metric: Metric, answers: Sequence[jsonl.Record]) -> list[jsonl.Record]:
    """Return a row of values per answer; a figure that cannot be measured of it is not in its row.

    Raises:
        FolioError: a value bears the name of what identifies an answer.
    """
    found = metric(answers)
    if taken := {name for value in found for name in value}.intersection(KEYS):
        raise FolioError(
            f"metric.{metric.name} gives a figure named {min(taken)}, which a row has already: leave it out"
        )
    return [{key: row[key] for key in KEYS} | value for row, value in zip(answers, found, strict=True)]


def sample(rows: Sequence[jsonl.Record]) -> Sample:
    """The values of rows that have some, with their passages."""
    names = [key for key in rows[0] if key not in KEYS] if rows else []
    columns = {name: np.array([row[name] for row in rows], dtype=float) for name in names}
    return Sample(columns, [row["chunk"] for row in rows])


def cell(metric: Metric, base: list[jsonl.Record], tuned: list[jsonl.Record], seed: int) -> dict[str, Any]:
    """The figures of one context: of base, of tuned and of their difference, each with its interval.

    Both are measured on the same questions: those that have a value under both models.
    """
    measured = [{str(row["id"]): row for row in rows if len(row) > len(KEYS)} for rows in (base, tuned)]
    common = sorted(measured[0].keys() & measured[1].keys())
    counts = {"n": len(common), "passages": len({measured[0][name]["chunk"] for name in common})}
    if left_out := len(base) - len(common):
        counts["not_measured"] = left_out
    if not common:
        return counts
    before, after = (draw(sample([rows[name] for name in common]), metric.figures, seed) for rows in measured)
    gaps = difference(before, after, metric.lower_is_better, metric.neutral)
    sides = {"base": rounded(interval(before)), "tuned": rounded(interval(after))}
    return sides | {"difference": rounded(gaps)} | counts


def rounded(found: Mapping[str, Interval]) -> dict[str, dict[str, float | None]]:
    """Figures as they stand in the file, six places."""
    return {
        name: {key: None if value is None else round(value, 6) for key, value in asdict(one).items()}
        for name, one in found.items()
    }


def settling(
    metric: Metric, base: list[jsonl.Record], tuned: list[jsonl.Record], seed: int
) -> list[dict[str, Any]]:
    """The cell over the first 10, 20, 50 and 100 questions by id, which is a hash."""
    ids = sorted({str(row["id"]) for row in base})
    found = []
    for count in (count for count in SETTLING if count < len(ids)):
        first = set(ids[:count])
        sides = [[row for row in rows if str(row["id"]) in first] for rows in (base, tuned)]
        found.append(cell(metric, sides[0], sides[1], seed))
    return found


def score(
    metric: Metric, answers: Sequence[jsonl.Record], seed: int, leaked: Collection[str] = ()
) -> tuple[list[jsonl.Record], dict[str, Any]]:
    """Return the rows of values, and per context the figures and how they settle as n grows.

    Each says which model measures (`by`), and of which figures less is better, where there are any.
    A held-out context that asks `leaked` questions (ids) has the figures of the others too, as `clean`;
    every other figure counts them.
    """
    rows = values(metric, answers)
    contexts: dict[str, dict[str, list[jsonl.Record]]] = {}
    for row in rows:
        contexts.setdefault(row["context"], {}).setdefault(row["model"], []).append(row)
    facts = {"by": metric.by(), "lower_is_better": list(metric.lower_is_better)}
    known = {key: value for key, value in facts.items() if value}
    figures = {}
    for context, sides in contexts.items():
        whole = cell(metric, sides["base"], sides["tuned"], seed)
        fewer = settling(metric, sides["base"], sides["tuned"], seed)
        figures[context] = known | whole | {"settling": [*fewer, whole]}
        base, tuned = (
            [row for row in sides[model] if row["id"] not in leaked] for model in ("base", "tuned")
        )
        if context in HELD_OUT and len(base) < len(sides["base"]):
            figures[context]["clean"] = cell(metric, base, tuned, seed)
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
    leaked = {leak["id"] for leak in jsonl.read(LEAKS)}
    rows, figures = score(build(config, f"metric.{name}"), answers, settings.seed, leaked)
    jsonl.write(SCORES / f"{name}.jsonl", rows)
    write_json(METRICS / f"{name}.json", figures)
    print(f"score: {name} of {len(rows)} answers")


if __name__ == "__main__":
    main()
