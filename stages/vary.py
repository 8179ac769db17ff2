"""Decoding settings compared on one model: python -m stages.vary evaluate.model=base [override ...]"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from stages import jsonl
from stages.account import Account
from stages.artifact import write_json, write_text
from stages.contenders import load
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.evaluate import TEST, ask, figures, fitting, sample
from stages.figure import Metric
from stages.formatted import formatted
from stages.interval import Sample, difference, draw, interval
from stages.measure import in_words
from stages.metric.squad import Squad
from stages.option import build
from stages.overlap import repeated_share, running_words
from stages.printable import printable, where
from stages.score import rounded
from stages.settings.evaluate import Evaluate
from stages.settings.vary import Decoding, Vary
from stages.template import render
from stages.wording import Format

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ANSWERS = Path("evaluation/decoding")
METRICS = Path("metrics/vary")
REPORT = Path("report")
# Of an answer's record: the passage would stand there once for every setting and seed; losses are one.
LEFT_OUT = ("passage", "token_losses")
LONGEST = 1000  # characters of a text that the page shows
# Words of which a repeated run counts as a repetition.
RUN = 4


@dataclass(frozen=True)
class Trial:
    """What a model answered under one setting: to every question once for each seed, seed after seed."""

    decoding: Decoding
    answers: list[jsonl.Record]
    speed: dict[str, float]


@dataclass(frozen=True)
class Column:
    """A column of the table: a figure, how it is written, and what is best of it (None: nothing is)."""

    title: str
    figure: str
    form: str
    best: Any


COLUMNS = (
    Column("F1", "f1", ".3f", max),
    Column("F1 less the first", "difference.f1", "+.3f", None),
    Column("Exact match", "exact", ".3f", max),
    Column("F1 between seeds", "consistency.f1", ".3f", max),
    Column("Same from every seed", "consistency.identical", ".0%", max),
    Column("Words", "words", ".1f", None),
    Column("Cut off", "cut_off", ".0%", min),
    Column("Repeated", "repetition", ".1%", min),
    Column("Seconds", "seconds", ".1f", min),
    Column("Tokens/s", "tokens_per_second", ".0f", max),
)


def vary(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    form: Format,
    pairs: Sequence[jsonl.Record],
    settings: Vary,
    asking: Evaluate,
) -> Iterator[Trial]:
    """Ask every question, with its passage where it has one, under each setting, once for each seed.

    Raises:
        FolioError: the model gives no numbers.
    """
    from transformers import set_seed

    asked = [(pair, "closed" if pair["passage"] is None else "open") for pair in pairs]
    # The first call pays for what is loaded and looked into once.
    ask(model, tokenizer, form, asked[:1], asking)
    for decoding in settings.settings:
        changes = {"maximum_tokens": settings.maximum_tokens} | decoding.knobs()
        chosen = replace(asking, **changes)  # type: ignore[type-var]
        answers: list[jsonl.Record] = []
        start = time.perf_counter()
        for seed in settings.seeds if decoding.temperature else [None]:
            print(f"vary: {decoding.name}{'' if seed is None else f', seed {seed}'}", flush=True)
            if seed is not None:
                set_seed(seed)
            labels = {"setting": decoding.name, "seed": seed}
            answers += [labels | row for row in ask(model, tokenizer, form, asked, chosen)]
        found = figures(Account("questions"), answers, time.perf_counter() - start)
        speed = {"seconds": round(found["seconds"] * len(asked) / len(answers), 2)}
        speed["tokens_per_second"] = found["tokens_per_second"]
        yield Trial(decoding, answers, speed)


def by_question(metric: Metric, answers: Sequence[jsonl.Record]) -> Sample:
    """A metric's values for every question, each the mean over the seeds."""
    passages = {row["id"]: row["chunk"] for row in answers}
    values = metric(answers)
    columns = {
        name: np.array([value[name] for value in values]).reshape(-1, len(passages)).mean(0)
        for name in values[0]
    }
    return Sample(columns, list(passages.values()))


def consistency(metric: Metric, answers: Sequence[jsonl.Record]) -> dict[str, float] | None:
    """How far the answers of different seeds to the same question agree; None where there is one seed.

    `f1` is the mean SQuAD F1 over every two of them, `identical` the share of questions to which all are
    the same, letter by letter.
    """
    said: dict[str, list[str]] = {}
    for row in answers:
        said.setdefault(row["id"], []).append(row["answer"])
    pairs = [pair for texts in said.values() for pair in combinations(texts, 2)]
    if not pairs:
        return None
    values = metric([{"answer": one, "reference": other} for one, other in pairs])
    identical = fmean(len(set(texts)) == 1 for texts in said.values())
    return {"f1": round(fmean(value["f1"] for value in values), 6), "identical": round(identical, 6)}


def habits(answers: Sequence[jsonl.Record]) -> dict[str, float]:
    """Means over the answers: words, the share that was cut off, and the share of repeated 4-grams."""
    means = {
        "words": fmean(in_words(row["answer"]) for row in answers),
        "cut_off": fmean(row["cut_off"] for row in answers),
        "repetition": fmean(repeated_share(running_words(row["answer"]), RUN) for row in answers),
    }
    return {name: round(mean, 6) for name, mean in means.items()}


def compare(trials: Sequence[Trial], seed: int) -> dict[str, dict[str, Any]]:
    """The figures of every setting; `difference` is to the first one, on the same questions."""
    metric = Squad(name="squad")  # type: ignore[call-arg]
    drawn = [draw(by_question(metric, trial.answers), metric.figures, seed) for trial in trials]
    found = {}
    for trial, draws in zip(trials, drawn, strict=True):
        gap = None if draws is drawn[0] else rounded(difference(drawn[0], draws))
        quality = {**rounded(interval(draws)), "difference": gap}
        agreement = {"consistency": consistency(metric, trial.answers)}
        seen = {"answers": len(trial.answers)} | habits(trial.answers) | trial.speed
        found[trial.decoding.name] = trial.decoding.knobs() | quality | agreement | seen
    return found


def table(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each setting: how it chooses tokens, and the cells of COLUMNS with the best marked."""
    rows: list[dict[str, Any]] = [
        {"setting": name, "how": how(one), "cells": []} for name, one in found.items()
    ]
    for column in COLUMNS:
        figures_of = [_figure(one, column.figure) for one in found.values()]
        texts = ["–" if value is None else f"{value:{column.form}}" for value, _ in figures_of]
        # Compared as they are shown: none is best by a digit that nobody sees.
        shown = {text: float(text.rstrip("%")) for text in texts if text != "–"}
        best = column.best(shown, key=shown.__getitem__) if column.best and len(shown) > 1 else None
        for row, text, (_, ends) in zip(rows, texts, figures_of, strict=True):
            row["cells"].append({"text": text, "range": ends, "best": text == best})
    return rows


def _figure(one: dict[str, Any], path: str) -> tuple[float | None, str]:
    """The figure at a path of keys, if there is one, and its interval in words."""
    value: Any = one
    for key in path.split("."):
        value = None if value is None else value[key]
    if not isinstance(value, dict):
        return value, ""
    known = value["low"] is not None
    return value["value"], f"[{value['low']:.3f}, {value['high']:.3f}]" if known else ""


def how(knobs: dict[str, Any]) -> str:
    """The knobs that do something, in words."""
    if knobs["temperature"]:
        parts = [f"temperature {knobs['temperature']:g}"]
        parts += [f"top-p {knobs['top_p']:g}"] if knobs["top_p"] < 1 else []
        parts += [f"top-k {knobs['top_k']}"] if knobs["top_k"] else []
    else:
        parts = ["likeliest token"]
    penalty = knobs["repetition_penalty"]
    parts += [f"repetition penalty {penalty:g}"] if penalty != 1 else []
    parts += [f"asked as {printable(knobs['control'], LONGEST)}"] if "control" in knobs else []
    return ", ".join(parts)


def examples(trials: Sequence[Trial], most: int) -> list[dict[str, Any]]:
    """The first questions by id, which is a hash, with the answers under each setting and their seeds."""
    rows = {row["id"]: row for row in trials[0].answers}
    found = []
    for name in sorted(rows)[:most]:
        said: list[tuple[str, str, list[int]]] = []
        for trial in trials:
            answers: dict[str, list[int]] = {}
            for row in trial.answers:
                if row["id"] == name:
                    answers.setdefault(row["answer"], []).append(row["seed"])
            said += [
                (trial.decoding.name, printable(text, LONGEST), seeds) for text, seeds in answers.items()
            ]
        texts = {key: printable(rows[name][key], LONGEST) for key in ("question", "reference")}
        found.append(rows[name] | texts | {"where": where(rows[name]), "said": said})
    return found


@entrypoint
def main(config: DictConfig) -> None:
    """Write evaluation/decoding/<model>.jsonl, metrics/vary/<model>.json and report/decoding-<model>.html."""
    settings, asking, form = (build(config, key) for key in ("vary", "evaluate", "format"))
    account = Account("questions")
    pairs = sample(list(jsonl.read(TEST)), settings.questions, account)
    if not pairs:
        raise FolioError(f"{TEST} holds no question; raise tokenize.test_share above 0")
    source = formatted(form, build(config, "model"))
    loaded = load(source, asking.model, asking.bits, "evaluate.bits")
    pairs = fitting(*loaded, form, pairs, account)
    if not pairs:
        raise FolioError("no held-out question fits the model's context")
    trials = list(vary(*loaded, form, pairs, settings, asking))
    found, name = compare(trials, settings.seed), asking.model
    kept = [{k: v for k, v in row.items() if k not in LEFT_OUT} for trial in trials for row in trial.answers]
    jsonl.write(ANSWERS / f"{name}.jsonl", kept)
    counts = {"questions": account.as_dict(), "passages": len({pair["chunk"] for pair in pairs})}
    write_json(METRICS / f"{name}.json", counts | {"seeds": settings.seeds, "settings": found})
    facts = {"model": name, "columns": COLUMNS, "rows": table(found), "seeds": settings.seeds}
    facts |= counts | {"examples": examples(trials, settings.examples)}
    write_text(REPORT / f"decoding-{name}.html", render("decoding.html", facts))
    print(f"\n{render('decoding.md', facts)}")


if __name__ == "__main__":
    main()
