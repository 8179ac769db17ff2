from pathlib import Path
from typing import Any

import pytest

from stages.conversation import prompt_of
from tests.source.reading import counts, reasons, source, split, write_lines

NAMES = {"system": "system", "user": "human", "assistant": "gpt"}
TURNS = (
    ("system", "Be brief."),
    ("user", " Why? "),
    ("assistant", "Because."),
    ("user", "So?"),
    ("assistant", "Yes.\n"),
)


def messages(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


def sharegpt(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": NAMES[role], "value": content} for role, content in turns]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": messages(*TURNS)},
        {"conversations": sharegpt(*TURNS)},
        {"messages": None, "conversation": messages(*TURNS[1:]), "system": "Be brief."},
        {"messages": messages(("system", " "), *TURNS[1:]), "system": "Be brief."},
    ],
    ids=["messages", "ShareGPT", "system beside", "blank system"],
)
def test_each_answer_is_a_record_with_what_stood_before_it(tmp_path: Path, row: dict[str, Any]) -> None:
    (first, second), refusals = split(source("conversations", write_lines(tmp_path / "c.jsonl", row)))
    assert not refusals
    system, why, because = (
        {"role": "system", "content": "Be brief."},
        *messages(("user", "Why?"), ("assistant", "Because.")),
    )
    assert (first["question"], first["answer"], first["history"]) == ("Why?", "Because.", [system])
    assert (second["question"], second["answer"], second["history"]) == (
        "So?",
        "Yes.",
        [system, why, because],
    )
    assert first["chunk"] == second["chunk"]
    assert first["id"] != second["id"]
    assert (first["passage"], first["line"], second["line"]) == (None, 1, 1)


def test_conversations_that_begin_alike_stay_together_and_their_beginning_counts_once(tmp_path: Path) -> None:
    other = [*TURNS[:3], ("user", "Really?"), ("assistant", "Really.")]
    file = write_lines(tmp_path / "c.jsonl", {"messages": messages(*TURNS)}, {"messages": messages(*other)})
    records, refusals = split(source("conversations", file))
    assert [record["answer"] for record in records] == ["Because.", "Yes.", "Really."]
    assert len({record["chunk"] for record in records}) == 1
    assert [(one.line, one.reason) for one in refusals] == [(2, "duplicate")]


def test_a_question_without_an_answer_at_the_end_is_counted(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "c.jsonl", {"messages": messages(*TURNS, ("user", "And?"))})
    assert counts(source("conversations", file)) == {"kept": 2, "no_answer": 1}


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([("user", "Why?"), ("tool", "Because.")], "wrong_role"),
        ([("assistant", "Hello."), ("user", "Why?"), ("assistant", "Because.")], "wrong_order"),
        ([("user", "Why?"), ("user", "Well?"), ("assistant", "Because.")], "wrong_order"),
        ([("user", "Why?"), ("system", "Be brief."), ("assistant", "Because.")], "wrong_order"),
        ([("user", " "), ("assistant", "Because.")], "empty_question"),
        ([("user", "Why?"), ("assistant", "")], "empty_answer"),
        ([("user", "Why?"), ("assistant", "x" * 20_001)], "field_too_long"),
        ([("user", "Why?"), ("assistant", "\0")], "nul_byte"),
        ([("user", "Why?"), ("assistant", "\udfff")], "no_unicode"),
        ([("system", "Be brief.")], "no_question"),
        ([], "no_question"),
    ],
)
def test_a_bad_turn_refuses_its_conversation(tmp_path: Path, turns: Any, reason: str) -> None:
    file = write_lines(tmp_path / "c.jsonl", {"messages": messages(*turns)}, {"messages": messages(*TURNS)})
    reader = source("conversations", file)
    assert reasons(reader) == [(1, reason)]
    assert len(split(reader)[0]) == 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "Why?"}, "missing_field"),
        ({"messages": "Why?"}, "wrong_type"),
        ({"messages": ["Why?"]}, "wrong_type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "wrong_type"),
        ({"messages": [{"role": "user"}]}, "missing_field"),
        ({"messages": messages(*TURNS), "system": 7}, "wrong_type"),
    ],
)
def test_a_row_of_another_shape_has_its_reason(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    assert reasons(source("conversations", write_lines(tmp_path / "c.jsonl", row))) == [(1, reason)]


def test_a_conversation_and_a_preference_that_begin_alike_stay_together(tmp_path: Path) -> None:
    talk = write_lines(tmp_path / "c.jsonl", {"messages": messages(*TURNS)})
    row = {
        "prompt": messages(("user", "WHY?"), ("assistant", "Oh."), ("user", "So?")),
        "chosen": "Yes.",
        "rejected": "No.",
    }
    assert prompt_of(row)
    (preferred,), _ = split(source("preferences", write_lines(tmp_path / "p.jsonl", row)))
    assert {record["chunk"] for record in split(source("conversations", talk))[0]} == {preferred["chunk"]}
