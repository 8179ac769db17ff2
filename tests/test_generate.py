from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stages.account import Account
from stages.generate import as_record, figures, select
from stages.jsonl import Record
from stages.settings.generate import Generate

# Each stands on its own: see test_verify.
BOATS = (
    "Who inspects the lifeboats?",
    "The captain inspects the lifeboats every four weeks and signs the log.",
)
FUEL = (
    "What do the fuel tanks hold?",
    "The fuel tanks hold forty tonnes of diesel in two separate compartments.",
)
NIGHT = (
    "When do night watches begin?",
    "Night watches begin at ten and end at four in the winter months.",
)


def settings(room: int = 3) -> Generate:
    return Generate(
        pairs_per_chunk=room,
        minimum_score=-1.1,
        answer_share=0.35,
        foreign_words=0,
        keep_share=0.02,
        plan=False,
    )


def chunk(name: str = "c1") -> Record:
    return {"id": name, "document": "ship.pdf", "pages": [3, 4], "headings": ["Ship"], "text": f"{name}: ..."}


def candidate(pair: tuple[str, str], begin: int, score: float = -0.5, name: str = "c1") -> Record:
    question, answer = pair
    evidence = [begin, begin + len(answer)]
    return {
        "chunk": chunk(name),
        "topic": "Ship",
        "question": question,
        "answer": answer,
        "evidence": evidence,
        "score": score,
    }


def chosen(*candidates: Record, room: int = 3) -> tuple[list[Record], dict[str, int]]:
    account = Account("candidate pairs")
    kept, rejected = select(candidates, settings(room), account)
    # in = kept + dropped, and a rejected pair carries its reason and nothing else anew.
    assert account.total == len(candidates) == len(kept) + len(rejected)
    assert account.kept == len(kept)
    reasons = [pair["reason"] for pair in rejected]
    assert dict(account.dropped) == {reason: reasons.count(reason) for reason in reasons}
    assert all({k: v for k, v in pair.items() if k != "reason"} in candidates for pair in rejected)
    return kept, dict(account.dropped)


def test_good_pairs_are_kept_in_the_order_of_their_evidence() -> None:
    late, early = candidate(BOATS, 200, -0.1), candidate(FUEL, 0, -0.9)
    assert chosen(late, early) == ([early, late], {})


def test_of_twins_the_likelier_stays() -> None:
    worse, better = candidate(BOATS, 0, -0.9), candidate(BOATS, 0, -0.2)
    assert chosen(worse, better) == ([better], {"likelier_twin": 1})


def test_a_rejected_twin_leaves_its_place_to_the_other() -> None:
    broken = candidate(("Inspects the captain the lifeboats?", BOATS[1]), 0, -0.1)
    sound = candidate(BOATS, 0, -0.9)
    assert chosen(broken, sound) == ([sound], {"malformed": 1})


def test_a_question_that_another_chunk_asked_is_a_repeat_whatever_its_case() -> None:
    first = candidate(BOATS, 0)
    answer = "A surveyor inspects the lifeboats before each long voyage begins."
    again = candidate(("Who Inspects THE lifeboats?", answer), 0, name="c2")
    assert chosen(first, again) == ([first], {"repeated_question": 1})


def test_an_answer_that_another_chunk_gave_is_a_repeat() -> None:
    first = candidate(BOATS, 0)
    again = candidate(("What does the captain sign every four weeks?", BOATS[1].upper()), 0, name="c2")
    assert chosen(first, again) == ([first], {"repeated_answer": 1})


def test_a_rejected_question_does_not_block_a_later_one() -> None:
    unlikely, sound = candidate(BOATS, 0, -5.0), candidate(BOATS, 0, name="c2")
    assert chosen(unlikely, sound) == ([sound], {"unlikely": 1})


def test_of_a_chunk_the_likeliest_few_stay() -> None:
    pairs = [candidate(BOATS, 0, -0.9), candidate(FUEL, 100, -0.1), candidate(NIGHT, 200, -0.5)]
    assert chosen(*pairs, room=2) == (pairs[1:], {"chunk_full": 1})


def test_each_chunk_has_room_of_its_own() -> None:
    pairs = [candidate(BOATS, 0), candidate(FUEL, 0, name="c2"), candidate(NIGHT, 0, name="c3")]
    assert chosen(*pairs, room=1) == (pairs, {})


def test_nothing_in_nothing_out() -> None:
    assert chosen() == ([], {})


CANDIDATES = st.builds(
    candidate,
    st.sampled_from([BOATS, FUEL, NIGHT, ("What is it?", "It is.")]),
    st.sampled_from([0, 100]),
    st.sampled_from([-0.1, -0.5, -2.0]),
    st.sampled_from(["c1", "c2"]),
)


@hypothesis_settings(derandomize=True, deadline=None)
@given(st.lists(CANDIDATES, max_size=8), st.integers(1, 2))
def test_whatever_comes_each_candidate_is_kept_or_dropped_once(candidates: list[Record], room: int) -> None:
    ordered = sorted(candidates, key=lambda pair: pair["chunk"]["id"])
    kept, _ = chosen(*ordered, room=room)
    assert all(pair in ordered for pair in kept)
    questions = [pair["question"] for pair in kept]
    assert len(set(questions)) == len(questions)
    assert all(sum(pair["chunk"]["id"] == name for pair in kept) <= room for name in ("c1", "c2"))


KEYS = ["id", "chunk", "document", "pages", "passage", "question", "answer", "evidence", "score", "generator"]


def test_a_record_leads_back_to_its_page() -> None:
    record = as_record(candidate(BOATS, 7, -0.25), "writer==1")
    assert list(record) == KEYS
    assert record | {"id": ""} == {
        "id": "",
        "chunk": "c1",
        "document": "ship.pdf",
        "pages": [3, 4],
        "passage": "c1: ...",
        "question": BOATS[0],
        "answer": BOATS[1],
        "evidence": [7, 7 + len(BOATS[1])],
        "score": -0.25,
        "generator": "writer==1",
    }


def test_a_rejected_record_has_its_reason_too() -> None:
    record = as_record(candidate(BOATS, 0) | {"reason": "unlikely"}, "writer==1")
    assert list(record) == [*KEYS, "reason"]
    assert record["reason"] == "unlikely"


@pytest.mark.parametrize("other", [candidate(BOATS, 0, name="c2"), candidate(FUEL, 0)])
def test_the_id_is_of_chunk_question_and_answer(other: dict[str, Any]) -> None:
    ids = [as_record(pair, "w")["id"] for pair in (candidate(BOATS, 0), candidate(BOATS, 9, -1.0), other)]
    assert ids[0] == ids[1] != ids[2]
    assert all(len(name) == 16 for name in ids)


def test_the_figures_tell_how_many_chunks_have_a_pair() -> None:
    account = Account("candidate pairs")
    pairs = [candidate(BOATS, 0), candidate(FUEL, 100), candidate(NIGHT, 0, name="c2")]
    kept, _ = select(pairs, settings(), account)
    assert figures([chunk(name) for name in ("c1", "c2", "c3")], kept, account) == {
        "chunks": 3,
        "chunks_with_pairs": 2,
        "pairs": {"in": 3, "kept": 3, "dropped": {}},
    }


def test_a_fault_that_the_generator_found_is_the_reason() -> None:
    sound = candidate(BOATS, 7)
    unplaced = candidate(("When do night watches end?", "At four."), 7) | {"reason": "evidence_missing"}
    account = Account("candidate pairs")
    kept, rejected = select([sound, unplaced], settings(), account)
    assert kept == [sound]
    assert [pair["reason"] for pair in rejected] == ["evidence_missing"]
