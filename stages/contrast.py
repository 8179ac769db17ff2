"""Base and tuned answers beside their reference: what differs in them, where they are from, how they fail."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from stages.conclusion import CONTEXTS
from stages.errors import FolioError
from stages.jsonl import Record
from stages.lot import lot
from stages.printable import label, printable, where

MODELS = ("base", "tuned")
# Characters of each that are shown.
LONGEST = {"question": 400, "reference": 1200, "answer": 1200}
# The folder of the documents as seen from report/.
RAW = "../data/raw/"

Key = tuple[str, str]  # id of a question and its context


def paired(base: Iterable[Record], tuned: Iterable[Record]) -> list[dict[str, Any]]:
    """One row for each question and context: the question's own keys, and both answers.

    Raises:
        FolioError: the two models were not asked the same.
    """
    before = {(row["id"], row["context"]): row["answer"] for row in base}
    rows = []
    for row in tuned:
        key = row["id"], row["context"]
        if key not in before:
            raise FolioError(f"evaluation/base.jsonl lacks the question {key[0]} ({key[1]}); run `dvc repro`")
        rows.append(row | {"key": key, "base": before.pop(key), "tuned": row["answer"]})
    if before:
        raise FolioError(
            f"evaluation/tuned.jsonl lacks the question {next(iter(before))[0]}; run `dvc repro`"
        )
    return rows


def drawn(rows: Iterable[Record], most: int) -> list[Record]:
    """At most `most` rows, of questions drawn by hash; a question keeps its contexts together."""
    return sorted(rows, key=lambda row: (lot(row["id"]), list(CONTEXTS).index(row["context"])))[:most]


def link(row: Record) -> str:
    """The document as a link from the report, a PDF at its page; nothing where it is none of data/raw."""
    if row["pages"] is None:
        return ""
    name = quote(row["document"], errors="replace")
    return f"{RAW}{name}#page={row['pages'][0]}" if name.lower().endswith(".pdf") else f"{RAW}{name}"


def shown(row: Record) -> dict[str, Any]:
    """What the page shows of a row of `paired`, escaped, bounded, the words that differ marked."""
    reference = printable(row["reference"], LONGEST["reference"])
    answers = {model: printable(row[model], LONGEST["answer"]) for model in MODELS}
    return {
        "question": printable(row["question"], LONGEST["question"]),
        "reference": reference,
        "context": row["context"],
        "where": where(row),
        "link": link(row),
        **{model: marked(answer, reference) for model, answer in answers.items()},
    }


def marked(answer: str, reference: str) -> Markup:
    """The answer with every word marked that the reference lacks at that place."""
    parts = re.findall(r"\s+|\S+", answer)
    places = [place for place, part in enumerate(parts) if not part.isspace()]
    words = [_plain(parts[place]) for place in places]
    wanted = [_plain(word) for word in reference.split()]
    matcher = difflib.SequenceMatcher(None, words, wanted, autojunk=False)
    common = [places[block.a + i] for block in matcher.get_matching_blocks() for i in range(block.size)]
    return Markup().join(_runs(parts, set(places) - set(common)))


def _plain(word: str) -> str:
    # As SQuAD compares words: neither case nor punctuation tells them apart.
    return re.sub(r"\W", "", word.casefold()) or word


def _runs(parts: Sequence[str], strange: set[int]) -> Iterable[Markup]:
    """Words that differ, one mark around those that adjoin."""
    run: list[str] = []
    for place, part in enumerate([*parts, ""]):
        inside = place in strange or (run and part.isspace() and place + 1 in strange)
        if inside:
            run.append(part)
            continue
        if run:
            yield Markup("<mark>{}</mark>").format("".join(run))
            run = []
        yield escape(part)


def changes(scores: Iterable[Record], figure: str, higher: bool) -> dict[Key, str]:
    """Of each question and context whether tuned is better, worse or the same by its own value of `figure`.

    What was not measured under both models, or has no such value of its own, is left out.
    """
    values: dict[Key, dict[str, float]] = {}
    for row in scores:
        if figure in row:
            values.setdefault((row["id"], row["context"]), {})[row["model"]] = row[figure]
    names = {True: "better", False: "worse"}
    return {
        key: "same" if pair["base"] == pair["tuned"] else names[(pair["tuned"] > pair["base"]) == higher]
        for key, pair in values.items()
        if len(pair) == len(MODELS)
    }


def patterns(failures: Iterable[Record]) -> dict[tuple[str, Key], str]:
    """The pattern of each model's answer to a question in a context."""
    return {(row["model"], (row["id"], row["context"])): row["pattern"] for row in failures}


def order(diagnosed: Mapping[str, Any]) -> list[str]:
    """The patterns in the order of metrics/diagnose.json."""
    counts = [cell[model]["counts"] for cell in diagnosed.values() for model in MODELS]
    return list(dict.fromkeys(pattern for each in counts for pattern in each))


def transitions(counted: Sequence[Mapping[str, Any]], most: int) -> dict[str, Any]:
    """What became of the base's patterns, the commonest change first; `left` counts those not named."""
    changed = [one for one in counted if one["base"] != one["tuned"]]
    named = [{key: label(one[key]) for key in MODELS} | {"count": one["count"]} for one in changed[:most]]
    left = sum(one["count"] for one in changed[most:])
    stayed = sum(one["count"] for one in counted if one["base"] == one["tuned"])
    return {"named": named, "left": left, "stayed": stayed}


def examples(
    rows: Sequence[Record], known: Mapping[tuple[str, Key], str], names: Sequence[str], most: int
) -> list[dict[str, Any]]:
    """Of each pattern up to `most` answers of each model, drawn by hash, those with the passage first."""
    groups = []
    for name in names:
        found = []
        for model in MODELS:
            having = [row for row in rows if known.get((model, row["key"])) == name]
            place = list(CONTEXTS).index
            having.sort(key=lambda row: (place(row["context"]), lot(row["id"])))
            found += [one | {"model": model, "answer": one[model]} for one in map(shown, having[:most])]
        if found:
            groups.append({"pattern": label(name), "rows": found})
    return groups
