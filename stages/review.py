"""Pairs beside their passages, rejects by reason, and yield: python -m stages.review [override ...]"""

import re
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import jsonl
from stages.artifact import read_json, write_text
from stages.coverage import LARGE, Section, section_of
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.lot import lot
from stages.measure import in_words
from stages.option import build
from stages.page_numbers import span_of
from stages.printable import LONGEST_LABEL, label, printable
from stages.settings.review import Review
from stages.template import render

CHUNKS = Path("data/chunks.jsonl")
PAIRS = Path("data/qa.jsonl")
REJECTED = Path("data/rejected.jsonl")
GENERATE = Path("metrics/generate.json")
VERIFY = Path("metrics/verify.json")
TARGET = Path("report/pairs.html")

# What the page shows at most, so that its file stays small whatever a document or a model wrote.
LONGEST = {"question": 300, "answer": 500}  # characters
LONGEST_NAME = 200  # characters of a document's name or a heading
PASSAGE = 700  # characters of a passage, the evidence among them
CONTEXT = 200  # characters around the evidence, however long that is
DEEPEST = 8  # headings of a path
MOST_REASONS = 40
MOST_FILTER_REASONS = 12  # beside a filter
MOST_KINDS = 20
MOST_SCORES = 12

# A word that a cut may have gone through.
TORN_START = re.compile(r"\A\S{1,30}(?=\s)")

Fault = tuple[str, str]  # a filter and the reason that it gave


@dataclass
class Tally:
    """What a section, a document or all of them hold, and the pairs that came of it."""

    words: int = 0
    chunks: int = 0
    empty: int = 0  # chunks without a pair
    pairs: int = 0

    def add(self, other: "Tally") -> None:
        """Count another tally in."""
        self.words += other.words
        self.chunks += other.chunks
        self.empty += other.empty
        self.pairs += other.pairs

    @property
    def rate(self) -> float:
        """Pairs per 1,000 words."""
        return 1000 * self.pairs / self.words if self.words else 0.0

    @property
    def missed(self) -> bool:
        """Whether there is enough to ask about and no pair."""
        return self.words >= LARGE and not self.pairs


@dataclass
class Rejects:
    """How many candidates were rejected for one reason, and some of them."""

    count: int = 0
    drawn: list[tuple[str, int, jsonl.Record]] = field(default_factory=list)

    def add(self, record: jsonl.Record, most: int) -> None:
        """Count a candidate; the `most` with the least hashes are kept as examples."""
        self.count += 1
        insort(self.drawn, (lot(str(record.get("id"))), self.count, record))
        del self.drawn[most:]


# Text of documents and models, made fit to be shown


def excerpt(passage: str, evidence: Any) -> dict[str, Any]:
    """The passage around its evidence, in parts: before, evidence and after; `lack` says why none is marked.

    A span that is no part of the passage marks nothing: cutting it to fit would show a proof that is none.
    """
    span = _span(evidence, len(passage))
    if span is None:
        stated = printable(repr(evidence), LONGEST_LABEL)
        lack = "No evidence was stored." if evidence is None else f"The evidence {stated} is no part of it."
        return {"before": printable(passage, PASSAGE), "evidence": "", "after": "", "lack": lack}
    start, end = span
    room = max(CONTEXT, PASSAGE - (end - start))
    # What one side leaves free the other may take.
    left = max(room // 2, room - (len(passage) - end))
    right = max(room // 2, room - start)
    before = passage[max(0, start - left) : start]
    if left < start:
        whole = before if passage[start - left - 1].isspace() else TORN_START.sub("", before)
        before = f"… {whole.lstrip()}"
    return {
        "before": printable(before, len(before)),
        "evidence": printable(passage[start:end], PASSAGE),
        "after": printable(passage[end:], right),
        "lack": "",
    }


def _span(evidence: Any, length: int) -> tuple[int, int] | None:
    match evidence:
        case [int(start), int(end)] if 0 <= start < end <= length:
            return start, end
    return None


def named(section: Section) -> dict[str, Any]:
    """A section's document and headings as they are shown."""
    document, headings = section
    path = [printable(heading, LONGEST_NAME) for heading in headings[:DEEPEST]]
    path += ["…"] if len(headings) > DEEPEST else []
    return {"document": printable(document, LONGEST_NAME), "headings": path}


def described(record: jsonl.Record) -> dict[str, Any]:
    """What is shown of a pair or a reject, without a question its passage; what it lacks is empty."""
    pages = record.get("pages")
    shown = {key: printable(record.get(key), most) for key, most in LONGEST.items()}
    return shown | {
        "id": printable(record.get("id"), LONGEST_LABEL),
        "document": printable(record.get("document"), LONGEST_NAME),
        "pages": span_of(range(pages[0], pages[1] + 1)) if pages else "",
        "kind": label(record.get("kind")),
        "score": in_digits(record.get("score")),
        "passage": "" if shown["question"] else printable(record.get("passage"), LONGEST["question"]),
    }


def in_digits(score: Any) -> str:
    """A score with three decimals, a count without, a dash where there is none."""
    if isinstance(score, float):
        return f"{score:.3f}"
    return str(score) if isinstance(score, int) else "–"


# The kept pairs


def draw(ids: Mapping[str, Sequence[tuple[str, int]]], most: int) -> set[int]:
    """Choose up to `most` pairs, by the hashes of their ids, from the documents in turn.

    Args:
        ids: of each document, its pairs' ids and their places in the file.
        most: how many.
    """
    documents = sorted(ids, key=lambda document: (lot(document), document))[:most]
    queues = [sorted((lot(key), place) for key, place in ids[name])[:most] for name in documents]
    turns = [place for turn in zip_longest(*queues) for _, place in filter(None, turn)]
    return set(turns[:most])


def read_pairs(source: Path, most: int) -> tuple[Counter[str], Counter[str], list[jsonl.Record]]:
    """Return how many pairs each chunk and each kind has, and up to `most` pairs drawn by lot."""
    chunks: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    ids: dict[str, list[tuple[str, int]]] = {}
    for place, pair in enumerate(jsonl.read(source)):
        chunks[str(pair.get("chunk"))] += 1
        kinds[str(pair.get("kind") or "")] += 1
        ids.setdefault(str(pair.get("document")), []).append((str(pair.get("id")), place))
    drawn = draw(ids, most)
    return chunks, kinds, [pair for place, pair in enumerate(jsonl.read(source)) if place in drawn]


def as_sample(pair: jsonl.Record, section: Section) -> dict[str, Any]:
    """A drawn pair as the template shows it."""
    passage, scores = pair.get("passage"), pair.get("scores") or {}
    shown = described(pair) | named(section)
    shown["scores"] = [(label(name), in_digits(scores[name])) for name in list(scores)[:MOST_SCORES]]
    return shown | excerpt(passage if isinstance(passage, str) else "", pair.get("evidence"))


# Yield


def read_chunks(
    records: Iterable[jsonl.Record], pairs: Counter[str]
) -> tuple[dict[Section, Tally], dict[str, Section]]:
    """Return the sections in their order, and the section of each chunk that has pairs.

    Raises:
        FolioError: pairs belong to a chunk that is not there.
    """
    sections: dict[Section, Tally] = {}
    places: dict[str, Section] = {}
    for record in records:
        section = section_of(record)
        count = pairs[record["id"]]
        tally = Tally(in_words(record["text"]), 1, int(not count), count)
        sections.setdefault(section, Tally()).add(tally)
        if count:
            places[record["id"]] = section
    if strange := next((key for key in pairs if key not in places), None):
        raise FolioError(f"{PAIRS} names the chunk {strange}, which {CHUNKS} lacks; run `dvc repro`")
    return sections, places


def by_section(sections: Mapping[Section, Tally], most: int) -> dict[str, Any]:
    """The large sections without a pair, the other large ones, thinnest first, the small ones; bounded."""
    order = sorted(
        sections.items(),
        key=lambda item: (item[1].words < LARGE, item[1].rate, -item[1].words, item[0]),
    )
    rows = [named(section) | {"tally": tally} for section, tally in order[:most]]
    left = Tally()
    for _, tally in order[most:]:
        left.add(tally)
    missed = sum(tally.missed for _, tally in order[most:])
    return {"rows": rows, "left_out": max(0, len(order) - most), "left": left, "left_missed": missed}


def by_document(sections: Mapping[Section, Tally], most: int) -> dict[str, Any]:
    """The documents with the fewest pairs for their words first; of very many those alone."""
    documents: dict[str, Tally] = {}
    total, left = Tally(), Tally()
    for (document, _), tally in sections.items():
        documents.setdefault(document, Tally()).add(tally)
        total.add(tally)
    order = sorted(documents.items(), key=lambda item: (item[1].rate, -item[1].words, item[0]))
    for _, tally in order[most:]:
        left.add(tally)
    rows = [{"document": printable(name, LONGEST_NAME), "tally": tally} for name, tally in order[:most]]
    return {
        "rows": rows,
        "n": len(order),
        "total": total,
        "left_out": max(0, len(order) - most),
        "left": left,
    }


def by_kind(kept: Counter[str], rejected: Counter[str]) -> list[dict[str, Any]]:
    """Kept and rejected pairs of each kind of question, the commonest first; many rare ones are one row."""
    kinds = sorted(kept | rejected, key=lambda kind: (-kept[kind] - rejected[kind], kind))
    first, rest = kinds[:MOST_KINDS], kinds[MOST_KINDS:]
    rows = [(label(kind), kept[kind], rejected[kind]) for kind in first]
    if rest:
        rest_kept, rest_rejected = (sum(counts[kind] for kind in rest) for counts in (kept, rejected))
        rows.append((f"{len(rest)} others", rest_kept, rest_rejected))
    return [dict(zip(("kind", "kept", "rejected"), row, strict=True)) for row in rows]


# The rejected candidates


def read_rejected(records: Iterable[jsonl.Record], most: int) -> tuple[dict[Fault, Rejects], Counter[str]]:
    """Return the rejects by filter and reason, each with up to `most` examples, and their kinds."""
    faults: dict[Fault, Rejects] = {}
    kinds: Counter[str] = Counter()
    for record in records:
        fault = (str(record.get("filter") or ""), str(record.get("reason") or ""))
        faults.setdefault(fault, Rejects()).add(record, most)
        if record.get("question"):  # a chunk that gave nothing has no kind either
            kinds[str(record.get("kind") or "")] += 1
    return faults, kinds


def by_reason(faults: Mapping[Fault, Rejects]) -> list[dict[str, Any]]:
    """The reasons, commonest first, with their examples."""
    order = sorted(faults.items(), key=lambda item: (-item[1].count, item[0]))
    return [
        {
            "filter": label(name),
            "reason": label(reason),
            "count": found.count,
            "examples": [described(record) for *_, record in found.drawn],
        }
        for (name, reason), found in order[:MOST_REASONS]
    ]


# The page


def read_figures(source: Path, **kinds: type) -> dict[str, Any]:
    """Read a stage's figures, among them each key of `kinds` with a value of that type.

    Raises:
        FolioError: the file is missing or damaged, or lacks one of them.
    """
    figures = read_json(source)
    for key, kind in kinds.items():
        if not isinstance(figures, dict) or not isinstance(figures.get(key), kind):
            raise FolioError(f"{source} does not tell {key} as this version does; run `dvc repro`")
    return dict(figures)


def accounts(figures: Any, most: int) -> dict[str, dict[str, Any]]:
    """Those of the figures that tell what went in, what was kept and why the rest was dropped.

    Of the reasons the first `most` are named; `left_out` counts the others.
    """
    found = {}
    for name, figure in figures.items() if isinstance(figures, dict) else ():
        match figure:
            case {"in": int(total), "kept": int(kept), "dropped": dict(dropped)}:
                reasons = [(label(reason), count) for reason, count in list(dropped.items())[:most]]
                account = {"in": total, "kept": kept, "dropped": reasons}
                found[name] = account | {"label": label(name), "left_out": len(dropped) - len(reasons)}
    return found


def check(pairs: Mapping[str, Any], kept: int, rejected: int) -> None:
    """See that the records are those that metrics/verify.json counts.

    Raises:
        FolioError: they are of another run.
    """
    dropped = pairs["in"] - pairs["kept"]
    for source, found, counted in ((PAIRS, kept, pairs["kept"]), (REJECTED, rejected, dropped)):
        if found != counted:
            raise FolioError(f"{source} holds {found} lines where {VERIFY} counts {counted}; run `dvc repro`")


def gather(settings: Review) -> dict[str, Any]:
    """Everything that the template shows.

    Raises:
        FolioError: a file of an earlier stage is missing, damaged or of another run.
    """
    generate = read_figures(GENERATE, chunks=dict, candidates=int)
    verify = read_figures(VERIFY, pairs=dict, filters=dict)
    chunks, kept, drawn = read_pairs(PAIRS, settings.pairs)
    faults, rejected = read_rejected(jsonl.read(REJECTED), settings.rejects)
    check(verify["pairs"], kept.total(), sum(found.count for found in faults.values()))
    sections, places = read_chunks(jsonl.read(CHUNKS), chunks)
    large = [tally for tally in sections.values() if tally.words >= LARGE]
    drawn.sort(key=lambda pair: (str(pair.get("document")), pair.get("pages") or [], str(pair.get("id"))))
    return {
        "pairs": verify["pairs"],
        "filters": accounts(verify["filters"], MOST_FILTER_REASONS),
        "candidates": generate["candidates"],
        "chunks": {"in": sum(tally.chunks for tally in sections.values()), "kept": len(places)},
        "large": {"in": len(large), "kept": sum(not tally.missed for tally in large), "words": LARGE},
        "accounts": accounts(generate, MOST_REASONS),
        "sample": [as_sample(pair, places[pair["chunk"]]) for pair in drawn],
        "rejects": by_reason(faults),
        "reasons_left_out": max(0, len(faults) - MOST_REASONS),
        "documents": by_document(sections, settings.documents),
        "sections": by_section(sections, settings.sections) | {"n": len(sections)},
        "kinds": by_kind(kept, rejected),
    }


@entrypoint
def main(config: DictConfig) -> None:
    """Write report/pairs.html."""
    facts = gather(build(config, "review"))
    write_text(TARGET, render("pairs.html", facts))
    shown, kept = len(facts["sample"]), facts["pairs"]["kept"]
    print(f"review: {shown} of {kept} pairs beside their passages in {TARGET}: are they good?")


if __name__ == "__main__":
    main()
