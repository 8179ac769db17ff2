import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.errors import FolioError
from tests.source.reading import reasons, source, split

GOOD = {"id": "1", "question": "Why?", "answers": [{"text": " Because.", "answer_start": 3}, {"text": "So."}]}


def write(path: Path, *paragraphs: Any) -> Path:
    articles = [{"title": "One", "paragraphs": [paragraph]} for paragraph in paragraphs]
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return path


def test_questions_are_counted_through_articles_and_paragraphs(tmp_path: Path) -> None:
    other = GOOD | {"question": "Who?"}
    file = write(
        tmp_path / "s.json", {"context": "One.", "qas": [GOOD, other]}, {"context": "Two.", "qas": [GOOD]}
    )
    records, refusals = split(source("squad", file))
    assert not refusals
    assert [(one["line"], one["question"], one["passage"]) for one in records] == [
        (1, "Why?", "One."), (2, "Who?", "One."), (3, "Why?", "Two."),
    ]  # fmt: skip
    assert {one["answer"] for one in records} == {"Because."}
    assert records[0]["chunk"] == records[1]["chunk"] != records[2]["chunk"]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (GOOD | {"is_impossible": True}, "unanswerable"),
        (GOOD | {"answers": []}, "unanswerable"),
        (GOOD | {"answers": [{"text": " "}]}, "empty_answer"),
        (GOOD | {"answers": [{"answer_start": 3}]}, "missing_field"),
        (GOOD | {"answers": [7]}, "wrong_type"),
        (GOOD | {"answers": "Because."}, "wrong_type"),
        (GOOD | {"answers": None}, "missing_field"),
        (GOOD | {"question": None}, "missing_field"),
        (GOOD | {"question": " "}, "empty_question"),
        ("Why?", "wrong_type"),
        (GOOD, "duplicate"),
    ],
)
def test_a_bad_question_has_its_number_and_its_reason(tmp_path: Path, question: Any, reason: str) -> None:
    file = write(
        tmp_path / "s.json", {"context": "One.", "qas": [GOOD, question, GOOD | {"question": "Who?"}]}
    )
    reader = source("squad", file)
    assert reasons(reader) == [(2, reason)]
    assert len(split(reader)[0]) == 2


def test_a_bad_passage_costs_each_of_its_questions_and_a_bad_article_counts_once(tmp_path: Path) -> None:
    bad = {"context": " ", "qas": [GOOD, GOOD]}
    file = write(
        tmp_path / "s.json", bad, {"qas": [GOOD]}, {"context": "One."}, [7], {"context": "One.", "qas": 7}
    )
    assert reasons(source("squad", file)) == [
        (1, "empty_passage"), (2, "empty_passage"), (3, "missing_field"), (4, "missing_field"),
        (5, "wrong_type"), (6, "wrong_type"),
    ]  # fmt: skip


def test_the_table_that_the_hub_makes_of_it_is_read_too(tmp_path: Path) -> None:
    rows = [
        {"context": "One.", "question": "Why?", "answers": {"text": ["Because."], "answer_start": [0]}},
        {"context": "One.", "question": "Who?", "answers": {"text": [], "answer_start": []}},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "s.parquet")
    reader = source("squad", tmp_path / "s.parquet")
    assert [(one["question"], one["answer"], one["line"]) for one in split(reader)[0]] == [
        ("Why?", "Because.", 1)
    ]
    assert reasons(reader) == [(2, "unanswerable")]


def test_another_object_is_refused_with_its_keys(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text('{"rows": []}', encoding="utf-8")
    with pytest.raises(
        FolioError, match=r"source\.squad\.path: .* has no list under the key data, but \['rows'\]"
    ):
        split(source("squad", file))
