"""Test questions that training saw, and how: python -m stages.audit [override ...]"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import jsonl, repeats, tokens
from stages.artifact import write_json
from stages.embedding import Embedder
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.filter.duplicates import BLOCK, ROUNDING, normal, vectors
from stages.option import build
from stages.settings.audit import Audit
from stages.words import ARTICLES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOURCES = Path("data/sources")
TEST = Path("data/test.jsonl")
TRAINED = Path("data/trained.jsonl")
VALIDATION = Path("data/tokens/validation.parquet")
LEAKS = Path("data/leaks.jsonl")
METRICS = Path("metrics/audit.json")

REASONS = ("same_question", "near_question", "shared_passage", "near_passage")


def audit(
    test: Sequence[jsonl.Record], seen: Sequence[jsonl.Record], settings: Audit, embedder: Embedder
) -> list[jsonl.Record]:
    """Return a record for each test question that the pairs of `seen` give away, in the order of `test`.

    Its `reasons` hold at most one about the question (`same_question`: alike but for case, punctuation,
    articles and blanks; `near_question`: of like meaning) and one about the passage (`shared_passage`: the
    chunk or its text; `near_passage`: most of its word 5-grams). `closest` is the seen question that is the
    same, else the one of the nearest meaning, with the cosine of the two.

    Raises:
        FolioError: the package of the embedding model is not installed.
    """
    if not test or not seen:
        return []
    known = [pair["question"] for pair in seen]
    found = []
    passages = _passages(test, seen, settings.passage_similarity)
    questions = _questions([pair["question"] for pair in test], known, embedder)
    for pair, (place, cosine, same), passage in zip(test, questions, passages, strict=True):
        near = cosine >= settings.question_similarity - ROUNDING
        question = "same_question" if same else "near_question" if near else None
        if reasons := [reason for reason in (question, passage) if reason]:
            closest = {"id": seen[place]["id"], "question": known[place], "similarity": round(cosine, 4)}
            told = {"id": pair["id"], "question": pair["question"]}
            found.append(told | {"reasons": reasons, "closest": closest})
    return found


def bare(question: str) -> str:
    """The question without case, punctuation, articles and blanks (Rajpurkar et al., 2016, section 6).

    Punctuation is that of every script; signs that tell questions apart stay: C and C++ are two.
    """
    words = normal(question)
    return " ".join(word for word in words.split() if word not in ARTICLES) or words


def _questions(
    asked: Sequence[str], known: Sequence[str], embedder: Embedder
) -> Iterator[tuple[int, float, bool]]:
    """Of each question the place of the closest known one, their cosine, and whether they are the same."""
    found = vectors([*asked, *known], embedder)
    rows, others = found[: len(asked)], found[len(asked) :]
    same: dict[str, int] = {}
    for place, question in enumerate(known):
        same.setdefault(bare(question), place)
    for row, question, near in zip(rows, asked, nearest(rows, others), strict=True):
        copy = same.get(bare(question))
        place = int(near) if copy is None else copy
        yield place, float(row @ others[place]), copy is not None


def nearest(
    rows: "NDArray[np.float32]", others: "NDArray[np.float32]", block: int = BLOCK
) -> "NDArray[np.int64]":
    """For each of `rows`, [n, width], the place of the one of `others`, [m, width], of the largest product.

    Of equals the first. Memory is that of a square of `block` products.
    """
    import numpy as np

    places = np.zeros(len(rows), dtype=np.int64)
    for start in range(0, len(rows), block):
        some = rows[start : start + block]
        best = np.full(len(some), -np.inf, dtype=rows.dtype)
        for first in range(0, len(others), block):
            products = some @ others[first : first + block].T
            at = products.argmax(axis=1)
            value = products[np.arange(len(some)), at]
            places[start : start + block][value > best] = first + at[value > best]
            best = np.maximum(best, value)
    return places


def _passages(
    test: Sequence[jsonl.Record], seen: Sequence[jsonl.Record], similarity: float
) -> list[str | None]:
    """The reason that each test question's passage gives, or none."""
    chunks = {pair["chunk"] for pair in seen}
    known = dict.fromkeys(pair["passage"] for pair in seen if pair["passage"])
    plain = set(map(normal, known))
    shared = [pair["chunk"] in chunks or normal(pair["passage"] or "") in plain for pair in test]
    alone = [pair["passage"] for pair, is_shared in zip(test, shared, strict=True) if not is_shared]
    others = list(dict.fromkeys(filter(None, alone)))
    near = {others[index] for index in repeats.near_repeats(others, known, similarity)}
    return [
        "shared_passage" if is_shared else "near_passage" if pair["passage"] in near else None
        for pair, is_shared in zip(test, shared, strict=True)
    ]


def _read(name: str) -> Iterator[jsonl.Record]:
    return jsonl.read(SOURCES / f"{name}.jsonl")


def tally(test: Sequence[jsonl.Record], leaks: Sequence[jsonl.Record]) -> dict[str, Any]:
    """How many questions are affected, and by what; a question may have two reasons."""
    counts = Counter(reason for leak in leaks for reason in leak["reasons"])
    questions = {"in": len(test), "clean": len(test) - len(leaks), "affected": len(leaks)}
    return {"questions": questions, "reasons": {reason: counts[reason] for reason in REASONS}}


def summary(found: dict[str, Any]) -> str:
    """`2 of 62 test questions were seen in training: 1 same_question, 1 near_passage`."""
    questions = found["questions"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in found["reasons"].items() if count)
    told = f"{questions['affected']} of {questions['in']} test questions were seen in training"
    return f"{told}: {reasons}" if reasons else told


def check(found: dict[str, Any], most: float) -> None:
    """Fail where a larger share of the test questions than `most` is affected.

    Raises:
        FolioError: says how many, by what, and what to do.
    """
    questions = found["questions"]
    if questions["affected"] and questions["affected"] / questions["in"] > most:
        raise FolioError(
            f"{summary(found)}; more than audit.most_leaked={most:g} allows: {LEAKS} names them; "
            "lower filter.duplicates.similarity or chunk.duplicate_similarity, or raise audit.most_leaked"
        )


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/leaks.jsonl and metrics/audit.json."""
    settings = build(config, "audit")
    test, trained = list(jsonl.read(TEST)), list(jsonl.read(TRAINED))
    ids = {row.id for row in tokens.read(VALIDATION)}
    validation = [pair for name in config.tokenize.sources for pair in _read(name) if pair["id"] in ids]
    embedder = Embedder(settings.package, settings.batch, "audit.package")
    leaks = audit(test, trained, settings, embedder)
    found = tally(test, leaks)
    chosen = {key: getattr(settings, key) for key in ("question_similarity", "passage_similarity")}
    decided = tally(test, audit(test, validation, settings, embedder))
    # Written before the check: who is stopped wants to see which questions they are.
    jsonl.write(LEAKS, leaks)
    write_json(METRICS, found | chosen | {"validation": decided})
    check(found, settings.most_leaked)
    print(f"audit: {summary(found)}")


if __name__ == "__main__":
    main()
