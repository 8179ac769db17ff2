from pathlib import Path
from typing import Any

import pytest

from stages.errors import FolioError
from stages.metric.choice import named
from tests.source.reading import reasons, source, split, write_lines

OPTIONS = {"opa": "Aspirin", "opb": "Ibuprofen", "opc": "Codeine", "opd": "Caffeine"}


def row(label: Any, question: str = "Which?") -> dict[str, Any]:
    return {"question": f"{question} {label}", **OPTIONS, "cop": label, "exp": "x" * 30_000}


def test_a_row_becomes_lettered_options_of_which_one_is_the_answer(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "q.jsonl", row(0), row(2))
    (_, record), refusals = split(source("choice", file))
    assert not refusals
    assert record["options"] == ["A. Aspirin", "B. Ibuprofen", "C. Codeine", "D. Caffeine"]
    assert (record["question"], record["answer"]) == ("Which? 2", "C. Codeine")
    assert named(record["answer"], record["options"]) == 2


@pytest.mark.parametrize(
    ("labels", "base", "answers"),
    [
        ([0, 1, 3], "auto", "ABD"),
        ([1, 2, 4], "auto", "ABD"),
        (["1", " 2 ", "4.0"], "auto", "ABD"),
        ([1.0, 2.0, 4.0], "auto", "ABD"),
        (["A", "b ", "D"], "auto", "ABD"),
        (["A", "b ", "D"], "letter", "ABD"),
        ([1, 2], 0, "BC"),
        ([1, 2], 1, "AB"),
    ],
)
def test_labels_count_from_where_they_do(tmp_path: Path, labels: list[Any], base: Any, answers: str) -> None:
    file = write_lines(tmp_path / "q.jsonl", *(row(label) for label in labels))
    records, refusals = split(source("choice", file, base=base))
    assert "".join(record["answer"][0] for record in records) == answers
    assert not refusals


@pytest.mark.parametrize(
    ("labels", "base", "sentence"),
    [
        ([1, 2, 4, 4], 0, r"base=0, but cop in .* counts from 1: 2 rows have the number of options"),
        ([1, 2, 4, 4], 0, r"set source\.choice\.base=1$"),
        ([0, 1, 3], 1, r"base=1, but cop in .* counts from 0: 1 rows have 0, .* set source\.choice\.base=0$"),
        ([1, 2, 3], "auto", r"auto cannot tell .*: 0 rows have 0 and 0 the number of options; set it"),
        ([0, 1, 4], "auto", r"auto cannot tell .*: 1 rows have 0 and 1 the number of options; set it"),
    ],
)  # fmt: skip
def test_a_base_that_the_labels_contradict_or_do_not_tell_is_refused(
    tmp_path: Path, labels: list[Any], base: Any, sentence: str
) -> None:
    file = write_lines(tmp_path / "q.jsonl", *(row(label, f"{n}") for n, label in enumerate(labels)))
    with pytest.raises(FolioError, match=sentence):
        split(source("choice", file, base=base))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cop": 5}, "label_out_of_range"),
        ({"cop": -1}, "label_out_of_range"),
        ({"cop": 0}, "label_out_of_range"),
        ({"cop": "E"}, "label_out_of_range"),
        ({"cop": "Aspirin"}, "label_out_of_range"),
        ({"cop": 1.5}, "label_out_of_range"),
        ({"cop": True}, "wrong_type"),
        ({"cop": [1]}, "wrong_type"),
        ({"cop": None}, "missing_field"),
        ({"question": None}, "missing_field"),
        ({"question": " "}, "empty_question"),
        ({"opb": ""}, "empty_option"),
        ({"opb": None}, "empty_option"),
        ({"opb": 7}, "wrong_type"),
        ({"opd": None}, "label_out_of_range"),
        ({"opb": None, "opc": None, "opd": None}, "wrong_options"),
        ({"opc": "x" * 20_001}, "field_too_long"),
    ],
)
def test_a_bad_row_has_its_line_and_its_reason(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    file = write_lines(tmp_path / "q.jsonl", row(4), row(4, "Who?") | change, row(1))
    reader = source("choice", file, base=1)
    assert reasons(reader) == [(2, reason)]
    assert len(split(reader)[0]) == 2


def test_a_stray_label_beside_both_ends_is_refused_alone(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "q.jsonl", row(0), row(1), row(4))
    assert reasons(source("choice", file, base=1)) == [(1, "label_out_of_range")]
    assert reasons(source("choice", file, base=0)) == [(3, "label_out_of_range")]


@pytest.mark.parametrize(
    ("choices", "label"),
    [
        (["Red", "Green", "Blue"], "C"),
        (["A. Red", "B) Green", "(c) Blue"], "C"),
        ({"text": ["Red", "Green", "Blue"], "label": ["A", "B", "C"]}, "C"),
        ({"text": ["Red", "Green", "Blue"], "label": ["1", "2", "3"]}, "3"),
        ({"A": "Red", "B": "Green", "C": "Blue"}, "C"),
        (
            [{"label": "A", "text": "Red"}, {"label": "B", "text": "Green"}, {"label": "C", "text": "Blue"}],
            "C",
        ),
    ],
)
def test_every_shape_of_options_gives_the_same_record(tmp_path: Path, choices: Any, label: Any) -> None:
    file = write_lines(tmp_path / "q.jsonl", {"question": "Sky?", "choices": choices, "answerKey": label})
    (record,), _ = split(source("choice", file, options="choices", label="answerKey"))
    assert record["options"] == ["A. Red", "B. Green", "C. Blue"]
    assert record["answer"] == "C. Blue"


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ("Red, Green", "wrong_type"),
        ({"text": ["Red", "Green"], "label": ["A"]}, "wrong_type"),
        ([], "wrong_options"),
        ([f"{n}" for n in range(27)], "wrong_options"),
        (None, "missing_field"),
        ({"text": ["Red", "Green"], "label": ["A", "A"]}, "label_out_of_range"),
    ],
)
def test_options_of_no_known_shape_are_refused(tmp_path: Path, choices: Any, reason: str) -> None:
    file = write_lines(tmp_path / "q.jsonl", {"question": "Sky?", "choices": choices, "answer": "A"})
    assert reasons(source("choice", file, options="choices", label="answer")) == [(1, reason)]


def test_labels_named_by_their_row_need_no_base(tmp_path: Path) -> None:
    options = {"text": ["Red", "Green"]}
    rows = [
        {"question": "1", "choices": options | {"label": ["A", "B"]}, "answer": "B"},
        {"question": "2", "choices": options | {"label": ["1", "2"]}, "answer": "1"},
    ]
    records, _ = split(
        source("choice", write_lines(tmp_path / "q.jsonl", *rows), options="choices", label="answer")
    )
    assert [record["answer"] for record in records] == ["B. Green", "A. Red"]
