from pathlib import Path
from typing import Any

import pytest

from tests.source.reading import reasons, source, split, write_lines

ALPACA = "Below is an instruction.\n\n### Instruction:\nAdd them.\n\n### Input:\n1 and 2\n\n### Response:"


@pytest.mark.parametrize(
    ("row", "question", "passage"),
    [
        ({"instruction": "Why?", "context": "It is so.", "response": "Because."}, "Why?", "It is so."),
        ({"instruction": "Why?", "context": "", "response": "Because."}, "Why?", None),
        (
            {"instruction": "Add them.", "input": "1 and 2", "output": "Because."},
            "Add them.\n\n1 and 2",
            None,
        ),
        ({"instruction": "Why?", "input": "", "output": "Because."}, "Why?", None),
        ({"prompt": "Why?", "answer": "Because."}, "Why?", None),
        ({"prompt": "Why?", "response": None, "completion": "Because."}, "Why?", None),
        ({"prompt": ALPACA, "answer": "Because."}, "Add them.\n\n1 and 2", None),
        ({"prompt": "What is ### Instruction:?", "answer": "Because."}, "What is ### Instruction:?", None),
    ],
)
def test_well_known_names_are_found(
    tmp_path: Path, row: dict[str, Any], question: str, passage: str | None
) -> None:
    (record,), _ = split(source("instruct", write_lines(tmp_path / "i.jsonl", row)))
    assert (record["question"], record["answer"], record["passage"]) == (question, "Because.", passage)


def test_names_that_are_given_are_the_ones_that_are_read(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "i.jsonl", {"q": ALPACA, "a": "3", "input": "5", "context": "6"})
    names = {"instruction": ["q"], "answer": ["a"], "addition": [], "passage": [], "unwrap": False}
    (record,), _ = split(source("instruct", file, **names))
    assert (record["question"], record["passage"]) == (ALPACA, None)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": "Why?"}, "missing_field"),
        ({"response": "Because."}, "missing_field"),
        ({"instruction": "Why?", "input": 7, "response": "Because."}, "wrong_type"),
        ({"instruction": " ", "response": "Because."}, "empty_question"),
        ({"prompt": "### Instruction:\n\n### Response:", "response": "Because."}, "empty_question"),
        ({"instruction": "Why?", "response": " "}, "empty_answer"),
    ],
)
def test_a_bad_row_has_its_line_and_its_reason(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    good = {"instruction": "Who?", "response": "I."}
    assert reasons(source("instruct", write_lines(tmp_path / "i.jsonl", good, row))) == [(2, reason)]
