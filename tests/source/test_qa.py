import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from stages.conversation import prompt_of
from stages.errors import FolioError
from stages.option import build
from stages.prefer import pair_of
from tests.source.reading import reasons, source, split, write_lines

GOOD = {"question": "Why?", "answer": "Because."}


def test_a_row_becomes_a_record_with_the_way_back_to_its_line(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "q.jsonl", "", {"q": " Why?\n", "a": "Because. ", "text": "It is so."})
    (record,), refusals = split(source("qa", file, question="q", answer="a", passage="text"))
    assert not refusals
    assert list(record) == ["id", "chunk", "document", "line", "pages", "passage", "question", "answer"]
    assert (record["document"], record["line"], record["pages"]) == ("q.jsonl", 2, None)
    assert (record["question"], record["answer"], record["passage"]) == ("Why?", "Because.", "It is so.")
    assert len(record["id"]) == len(record["chunk"]) == 16


def test_an_answer_of_its_own_is_kept_and_a_copy_is_not(tmp_path: Path) -> None:
    rows = [GOOD, {"question": " WHY? ", "answer": "So."}, GOOD | {"note": "a copy"}]
    records, refusals = split(source("qa", write_lines(tmp_path / "q.jsonl", *rows)))
    assert [record["answer"] for record in records] == ["Because.", "So."]
    assert records[0]["chunk"] == records[1]["chunk"]
    assert [(one.line, one.reason, one.detail) for one in refusals] == [(3, "duplicate", "the same as 1")]


def test_a_passage_keeps_its_questions_together(tmp_path: Path) -> None:
    rows = [{"question": q, "answer": "A", "p": p} for q, p in (("1", "One."), ("2", "One."), ("1", "Two."))]
    records, _ = split(source("qa", write_lines(tmp_path / "q.jsonl", *rows), passage="p"))
    one, two, three = (record["chunk"] for record in records)
    assert one == two != three
    assert len({record["id"] for record in records}) == 3


def test_a_row_without_its_passage_is_asked_from_memory(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "q.jsonl", GOOD, GOOD | {"p": None, "answer": "b"}, GOOD | {"p": " ", "answer": "c"}
    )
    records, refusals = split(source("qa", file, passage="p"))
    assert [record["passage"] for record in records] == [None] * 3
    assert not refusals


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "Why?"}, "missing_field"),
        (GOOD | {"answer": None}, "missing_field"),
        (GOOD | {"answer": 7}, "wrong_type"),
        (GOOD | {"question": ["Why?"]}, "wrong_type"),
        ([1], "wrong_type"),
        ("7", "wrong_type"),
        (GOOD | {"answer": " \n\t"}, "empty_answer"),
        (GOOD | {"question": ""}, "empty_question"),
        (GOOD | {"answer": "x" * 20001}, "field_too_long"),
        (GOOD | {"answer": "a\0b"}, "nul_byte"),
        (GOOD | {"answer": "\ud800"}, "no_unicode"),
        ('{"question": "Why?", "answer"', "no_json"),
        ("[" * 100_000, "no_json"),
        ('{"question": ' + "9" * 5000 + "}", "no_json"),
    ],
)  # fmt: skip
def test_a_bad_row_has_its_line_and_its_reason(tmp_path: Path, row: Any, reason: str) -> None:
    file = write_lines(tmp_path / "q.jsonl", GOOD, "", row, GOOD | {"answer": "So."})
    reader = source("qa", file)
    assert reasons(reader) == [(3, reason)]
    assert len(split(reader)[0]) == 2


def test_a_refusal_says_what_was_found(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "q.jsonl", {"q": "Why?", "answer": "A"}, {"question": "Why?", "answer": 7})
    _, refusals = split(source("qa", file))
    assert [one.detail for one in refusals] == ["no question among ['q', 'answer']", "answer is 7"]


def test_a_field_of_ten_megabytes_is_refused_where_it_stands(tmp_path: Path) -> None:
    huge = json.dumps(GOOD | {"answer": "x" * 10_000_000})
    lines = write_lines(tmp_path / "q.jsonl", GOOD, huge, GOOD | {"answer": "So."})
    assert reasons(source("qa", lines)) == [(2, "row_too_long")]
    table = tmp_path / "q.csv"
    table.write_text(
        'question,answer\nWhy?,"' + ("x" * 99 + "\n") * 100_000 + '"\nWho?,I.\n', encoding="utf-8"
    )
    reader = source("qa", table)
    assert reasons(reader) == [(2, "row_too_long")]
    assert split(reader)[0][0]["line"] == 100_003
    whole = tmp_path / "q.json"
    whole.write_text(f"[{huge}]", encoding="utf-8")
    assert reasons(source("qa", whole)) == [(1, "field_too_long")]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_bytes_that_are_no_utf8_refuse_their_row_alone(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"q.{suffix}"
    rows = {
        "csv": [b"question,answer,note", b"Why?,caf\xe9,", b"Who?,I.,caf\xe9"],
        "jsonl": [
            b"",
            b'{"question": "Why?", "answer": "caf\xe9"}',
            b'{"question": "Who?", "answer": "I.", "note": "caf\xe9"}',
        ],
    }
    file.write_bytes(b"\n".join(rows[suffix]))
    reader = source("qa", file)
    assert reasons(reader) == [(2, "wrong_encoding")]
    # What nobody reads may be anything.
    assert [record["question"] for record in split(reader)[0]] == ["Who?"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.csv", "question,answer\nWhy?,Because.\n"),
        ("q.tsv", "question\tanswer\nWhy?\tBecause.\n"),
        ("q.jsonl", '{"question": "Why?", "answer": "Because."}'),
        ("q.json", '[{"question": "Why?", "answer": "Because."}]'),
        ("lines.json", '{"question": "Why?", "answer": "Because."}\n'),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, name: str, text: str) -> None:
    plain, marked = tmp_path / name, tmp_path / f"marked-{name}"
    plain.write_text(text, encoding="utf-8")
    marked.write_text(text, encoding="utf-8-sig")
    (first,), (second,) = (split(source("qa", file))[0] for file in (plain, marked))
    assert first | {"document": ""} == second | {"document": ""}


def test_a_question_and_a_preference_for_it_stay_together(tmp_path: Path) -> None:
    (record,), _ = split(source("qa", write_lines(tmp_path / "q.jsonl", GOOD)))
    row = {"prompt": "WHY? ", "chosen": "Because.", "rejected": "No."}
    assert prompt_of(row)
    assert record["chunk"] == pair_of(row, 100)["group"]


def test_a_file_that_cannot_be_read_is_named_with_its_key(tmp_path: Path) -> None:
    for check in (source("qa", tmp_path / "no.csv").check, lambda: split(source("qa", tmp_path / "no.csv"))):
        with pytest.raises(FolioError, match=r"^source\.qa\.path: .*no\.csv cannot be read: No such file"):
            check()


def test_a_second_source_of_a_shape_is_named_by_its_own_key(tmp_path: Path) -> None:
    first = source("qa", tmp_path / "none.csv")
    assert first.key == "source.qa"
    settings = {"_target_": "stages.source.qa.Qa", **asdict(first)}
    config = OmegaConf.create({"source": {"exam": settings}})
    with pytest.raises(FolioError, match=r"^source\.exam\.path"):
        build(config, "source.exam").check()


def test_a_sample_is_drawn_by_hash_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [{"question": f"Why {n}?", "answer": "So."} for n in range(40)]
    file = write_lines(tmp_path / "q.jsonl", *rows)
    records, _ = split(source("qa", file))
    chosen = source("qa", file, rows=10).draw(records)
    assert len(chosen) == 10
    assert chosen == [record for record in records if record in chosen]
    assert chosen != records[:10]
    assert source("qa", file, rows=10, seed=1).draw(records) != chosen
    assert source("qa", file).draw(records) == source("qa", file, rows=99).draw(records) == records
    # Another record replaces one other at most.
    more = source("qa", file, rows=10).draw(records[:-1])
    assert len([one for one in more if one in chosen]) >= 9
