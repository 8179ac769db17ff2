from collections import Counter
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from stages.errors import FolioError
from stages.filter.choice import Choice
from stages.jsonl import Record
from stages.option import build
from tests.imports import ROOT

CONFIG = OmegaConf.load(ROOT / "conf/filter/choice.yaml")
EVEN = {"fact": 1.0, "list": 1.0}


def option(room: int = 3, shares: dict[str, Any] | None = None) -> Choice:
    changed = {**CONFIG, "pairs_per_chunk": room, "shares": shares or dict(CONFIG.shares)}
    made: Choice = build(OmegaConf.create({"filter": {"choice": changed}}), "filter.choice")
    return made


def pair(
    name: str, kind: str = "fact", *, chunk: str = "c1", document: str = "a.pdf", at: int | None = None
) -> Record:
    """A pair with an answer of its own, unless `at` gives it the place of another."""
    place = [at, at + 5] if at is not None else [len(name), 99]
    source = {"id": chunk, "document": document}
    return {"chunk": source, "kind": kind, "evidence": place, "answer": "" if at is not None else name}


def reasons(choice: Choice, *pairs: Record) -> list[str | None]:
    return [verdict.reason for verdict in choice(pairs, None)]  # type: ignore[arg-type]


def test_of_one_kind_the_first_few_stay() -> None:
    pairs = [pair("a"), pair("b"), pair("c")]
    assert reasons(option(2), *pairs) == [None, None, "chunk_full"]
    assert reasons(option(3), *pairs) == [None, None, None]
    assert reasons(option(3)) == []


def test_each_chunk_has_room_of_its_own() -> None:
    pairs = [pair("a"), pair("b", chunk="c2"), pair("c", chunk="c2")]
    assert reasons(option(1), *pairs) == [None, None, "chunk_full"]


def test_of_questions_with_one_answer_one_stays() -> None:
    assert reasons(option(3), pair("a", at=0), pair("b", at=0), pair("c", at=7)) == [
        None,
        "same_answer",
        None,
    ]


def test_a_twin_takes_no_room_and_may_stand_in_another_chunk() -> None:
    pairs = [pair("a", at=0), pair("b", at=0), pair("c", at=7), pair("d", at=0, chunk="c2")]
    assert reasons(option(2), *pairs) == [None, "same_answer", None, None]


def test_the_same_words_at_another_place_are_another_answer() -> None:
    first, second = pair("a") | {"evidence": [0, 4]}, pair("a") | {"evidence": [9, 13]}
    assert reasons(option(), first, second) == [None, None]


def test_without_evidence_equal_answers_are_twins() -> None:
    assert reasons(option(), *[pair("a") | {"evidence": None}] * 2) == [None, "same_answer"]


def test_the_kind_that_is_furthest_below_its_share_comes_first() -> None:
    # Even shares: the list is wanted 1/2 in the first place, then the fact 1 - 0 against the list 1 - 1.
    pairs = [pair("a"), pair("b"), pair("c", "list")]
    assert reasons(option(2, EVEN), *pairs) == [None, "chunk_full", None]


def test_what_a_document_has_already_counts_in_its_next_chunk() -> None:
    # After one fact of even shares a list is wanted 0.5 * 2 - 0 = 1 and a fact 0.5 * 2 - 1 = 0.
    pairs = [pair("a"), pair("b", chunk="c2"), pair("c", "list", chunk="c2")]
    assert reasons(option(1, EVEN), *pairs) == [None, "chunk_full", None]
    # In another document nothing is taken yet, and of equals the first stays.
    elsewhere = [pairs[0], *({**p, "chunk": p["chunk"] | {"document": "b.pdf"}} for p in pairs[1:])]
    assert reasons(option(1, EVEN), *elsewhere) == [None, None, "chunk_full"]


def test_of_twins_the_wanted_kind_stays() -> None:
    pairs = [pair("x", chunk="c0"), pair("a", at=0), pair("b", "list", at=0)]
    assert reasons(option(3, EVEN), *pairs) == [None, "same_answer", None]


def test_a_kind_without_a_share_comes_last_and_fills_what_is_left() -> None:
    pairs = [pair("a", "riddle"), pair("b"), pair("c")]
    assert reasons(option(2, {"fact": 0.5}), *pairs) == ["chunk_full", None, None]
    assert reasons(option(3, {"fact": 0.5}), *pairs) == [None, None, None]


def test_over_many_chunks_the_kinds_come_near_their_shares() -> None:
    kinds = list(CONFIG.shares)
    pairs = [pair(f"{kind}{number}", kind, chunk=f"c{number}") for number in range(200) for kind in kinds]
    kept = [p["kind"] for p, reason in zip(pairs, reasons(option(2), *pairs), strict=True) if reason is None]
    assert len(kept) == 400
    for kind, share in CONFIG.shares.items():
        assert abs(kept.count(kind) - share * 400) <= 2


PAIRS = st.lists(
    st.builds(
        lambda document, chunk, kind, at, answer: {
            "chunk": {"id": f"{document}/{chunk}", "document": document},
            "kind": kind,
            "evidence": at,
            "answer": answer,
        },
        st.sampled_from("ab"),
        st.integers(0, 2),
        st.sampled_from(["fact", "list", "number", "riddle"]),
        st.sampled_from([[0, 4], [4, 9], None]),
        st.sampled_from(["x", "y"]),
    ),
    max_size=24,
)


def in_order(pairs: list[Record]) -> list[Record]:
    return sorted(pairs, key=lambda p: p["chunk"]["id"])


@hypothesis_settings(derandomize=True, deadline=None)
@given(PAIRS, st.integers(1, 4))
def test_whatever_comes(pairs: list[Record], room: int) -> None:
    pairs, choice = in_order(pairs), option(room)
    found = reasons(choice, *pairs)
    assert len(found) == len(pairs)
    assert reasons(choice, *pairs) == found  # and leaves no trace
    kept = [p for p, reason in zip(pairs, found, strict=True) if reason is None]
    places = [(p["chunk"]["id"], str(p["evidence"]), p["answer"]) for p in kept]
    assert len(places) == len(set(places))
    every = {(p["chunk"]["id"], str(p["evidence"]), p["answer"]) for p in pairs}
    of_chunk = Counter(chunk for chunk, *_ in every)
    # No place stays free while an answer is left.
    assert Counter(p["chunk"]["id"] for p in kept) == {chunk: min(room, n) for chunk, n in of_chunk.items()}


@hypothesis_settings(derandomize=True, deadline=None)
@given(PAIRS, st.integers(1, 3))
def test_a_document_changes_no_verdict_of_another(pairs: list[Record], room: int) -> None:
    pairs, choice = in_order(pairs), option(room)
    alone: list[str | None] = []
    for _, group in groupby(pairs, key=lambda p: p["chunk"]["document"]):
        alone += reasons(choice, *group)
    assert reasons(choice, *pairs) == alone


def test_chunks_need_not_stand_together() -> None:
    pairs = [pair("a"), pair("b", chunk="c2"), pair("c"), pair("d", chunk="c2")]
    assert reasons(option(1), *pairs) == [None, None, "chunk_full", "chunk_full"]


@pytest.mark.parametrize(
    ("shares", "fault"),
    [
        ({"fact": 0.0}, r"^filter\.choice\.shares are all 0: at least one kind needs a share$"),
        ({"fact": 1.0, "list": -0.1}, r"^filter\.choice\.shares\.list=-0\.1: a share is 0 or more$"),
        ({"facts": 1.0}, r"^filter\.choice\.shares\.facts is no kind of question .*; did you mean fact\?$"),
        ({"fact": "much"}, r"^filter\.choice\.shares\.fact='much': input should be a valid number$"),
    ],
)
def test_wrong_shares_are_one_sentence(shares: dict[str, Any], fault: str) -> None:
    with pytest.raises(FolioError, match=fault):
        option(3, shares)


def test_no_room_is_refused() -> None:
    with pytest.raises(FolioError, match=r"^filter\.choice\.pairs_per_chunk=0: "):
        option(0)


def test_a_chunk_with_very_many_pairs_takes_no_time() -> None:
    import time

    start = time.perf_counter()
    found = reasons(option(3), *[pair("x" * (n % 50) + str(n)) for n in range(20_000)])
    assert found.count(None) == 3
    assert time.perf_counter() - start < 5
