import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stages import jsonl
from stages.account import Account
from stages.generate import as_record, asks, counted
from stages.jsonl import Record
from tests.checkout import Checkout
from tests.endpoint import MODEL, Request, Server, pairs


def chunk(name: str = "c1", text: str = "") -> Record:
    place = {"id": name, "document": "ship.txt", "pages": [3, 4], "headings": ["Ship"]}
    return place | {"text": text or f"{name}: ...", "language": "en"}


def candidate(question: str = "Who inspects the boats?", name: str = "c1", **more: Any) -> Record:
    place = {"quote": "The captain.", "evidence": None, "score": -0.5}
    return (
        {"chunk": chunk(name), "kind": "fact", "question": question, "answer": "The captain."} | place | more
    )


def silent(name: str, reason: str | None) -> Record:
    empty = {"chunk": chunk(name), "kind": "", "question": "", "answer": "", "quote": "", "evidence": None}
    return empty | {"score": None} | ({"reason": reason} if reason else {})


def count(*candidates: Record) -> tuple[list[Record], dict[str, Any]]:
    account = Account("chunks")
    found = list(counted(candidates, account))
    return found, account.as_dict()


def test_a_chunk_counts_once_whether_it_gave_one_pair_or_more() -> None:
    given_pairs = [candidate(), candidate("When?"), candidate(name="c2"), silent("c3", "refused")]
    found, figures = count(*given_pairs)
    assert found == given_pairs
    assert figures == {"in": 3, "kept": 2, "dropped": {"refused": 1}}


@pytest.mark.parametrize("order", [1, -1])
def test_a_chunk_with_a_pair_and_a_reason_is_kept(order: int) -> None:
    mixed = [candidate(), silent("c1", "truncated")][::order]
    found, figures = count(*mixed)
    assert found == mixed
    assert figures == {"in": 1, "kept": 1, "dropped": {}}


@pytest.mark.parametrize("nothing", ["", " \n"])
def test_what_a_model_left_empty_has_a_reason(nothing: str) -> None:
    found, figures = count(
        candidate(nothing), candidate(nothing), candidate(nothing, "c2"), candidate(name="c2")
    )
    assert [pair.get("reason") for pair in found] == ["empty", "empty", "empty", None]
    assert figures == {"in": 2, "kept": 1, "dropped": {"empty": 1}}


def test_of_several_reasons_the_first_is_the_chunks() -> None:
    _, figures = count(silent("c1", "malformed"), silent("c1", "budget"))
    assert figures == {"in": 1, "kept": 0, "dropped": {"malformed": 1}}


def test_nothing_in_nothing_out() -> None:
    assert count() == ([], {"in": 0, "kept": 0, "dropped": {}})


GROUPS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["", " ", "Who?"]), st.sampled_from([None, "refused"])),
        min_size=1,
        max_size=4,
    ),
    max_size=6,
)


@hypothesis_settings(derandomize=True, deadline=None)
@given(GROUPS)
def test_whatever_comes_every_chunk_is_counted_once(groups: list[list[tuple[str, str | None]]]) -> None:
    listed = [
        candidate(question, f"c{number}") | ({"reason": reason} if reason else {})
        for number, group in enumerate(groups)
        for question, reason in group
    ]
    found, figures = count(*listed)
    assert [pair | {"reason": None} for pair in found] == [pair | {"reason": None} for pair in listed]
    assert all(asks(pair) or pair["reason"] for pair in found)
    assert figures["in"] == len(groups) == figures["kept"] + sum(figures["dropped"].values())
    assert figures["kept"] == sum(any(question.strip() for question, _ in group) for group in groups)


def test_a_record_names_its_chunk_and_its_generator() -> None:
    assert as_record(candidate(reason="refused"), "writer==1") == {
        "chunk": "c1",
        "kind": "fact",
        "question": "Who inspects the boats?",
        "answer": "The captain.",
        "quote": "The captain.",
        "evidence": None,
        "score": -0.5,
        "reason": "refused",
        "generator": "writer==1",
    }


# The command

BOATS = "The captain inspects the lifeboats every four weeks. The mate keeps the log of the ship by hand."
SHIP = [
    chunk("c1", BOATS),
    chunk("c2", "Nothing is told here, and nobody asks."),
    chunk("c3", "A fire breaks out."),
]


@pytest.fixture
def project(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "project", tmp_path / "cache")
    jsonl.write(made.folder / "data/chunks.jsonl", SHIP)
    return made


def answers(request: Request) -> dict[str, Any]:
    """Pairs; none about the second chunk, and none that can be seen about the third."""
    if "Nothing" in request.passage:
        return {"pairs": []}
    unseen = {"kind": "fact", "question": "\x00", "answer": "\x01", "quote": ""}
    return {"pairs": [unseen] if "fire" in request.passage else pairs(request.passage)}


def ask(project: Checkout, server: Server, *overrides: str) -> Any:
    endpoint = ["generator=openai", f"generator.base_url={server.url}", f"generator.model={MODEL}"]
    return project.python("-m", "stages.generate", *endpoint, *overrides)


def test_the_command_writes_candidates_and_what_became_of_each_chunk(project: Checkout) -> None:
    with Server(write=answers) as server:
        done = ask(project, server)
        assert done.returncode == 0, done.stderr
        again = ask(project, server)
    assert done.stdout == (
        "generate: 3 new calls\n"
        "generate: 2 candidate pairs from 1 of 3 chunks; without any: 1 nothing_to_ask, 1 empty\n"
    )
    assert again.stdout.startswith("generate: 0 new calls\n")
    lines = list(jsonl.read(project.folder / "data/candidates.jsonl"))
    assert [(line["chunk"], line.get("reason")) for line in lines] == [
        ("c1", None), ("c1", None), ("c2", "nothing_to_ask"), ("c3", "empty"),
    ]  # fmt: skip
    assert lines[0]["quote"] == BOATS.partition(". ")[0] + "."
    assert lines[0]["generator"].startswith(f"{MODEL} at http://127.0.0.1:")
    assert json.loads((project.folder / "metrics/generate.json").read_text(encoding="utf-8")) == {
        "chunks": {"in": 3, "kept": 1, "dropped": {"nothing_to_ask": 1, "empty": 1}},
        "candidates": 2,
    }


def test_too_few_chunks_with_pairs_stop_the_command_in_one_sentence(project: Checkout) -> None:
    with Server(write=answers) as server:
        done = ask(project, server, "generate.keep_share=0.5")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "folio: kept 1 of 3 chunks, less than generate.keep_share=0.5 asks; "
        "dropped: 1 nothing_to_ask, 1 empty"
    )
    assert not (project.folder / "data/candidates.jsonl").exists()


def test_a_plan_asks_nothing_and_writes_nothing(project: Checkout) -> None:
    with Server(write=answers) as server:
        done = ask(project, server, "generate.plan=true")
        assert server.requests == []
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("generate would make calls 3, ")
    assert not (project.folder / "data/candidates.jsonl").exists()


def test_missing_chunks_are_named(project: Checkout) -> None:
    (project.folder / "data/chunks.jsonl").unlink()
    with Server() as server:
        done = ask(project, server)
    assert (done.returncode, done.stderr) == (1, "folio: data/chunks.jsonl is missing; run `dvc repro`\n")
