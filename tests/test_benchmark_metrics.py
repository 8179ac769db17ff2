import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import metrics
from stages.errors import FolioError

PASSAGE = "The valve is opened by hand. Señor Núñez closes it within 24 hours, or a pump does."


def write(folder: Path, *references: str) -> Path:
    asked = [
        {"id": str(at), "question": "What?", "answers": [{"text": reference, "answer_start": 0}]}
        for at, reference in enumerate(references)
    ]
    file = folder / "squad.json"
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": PASSAGE, "qas": asked}]}]}))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(
        tmp_path, "by hand", "within 24 hours", "Señor Núñez", "a pump", "The valve", "hand", "24 hours"
    )


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["metrics", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        metrics.main()
    return end.value.code


@pytest.mark.filterwarnings("ignore:Unable to find a match:UserWarning")
def test_every_metric_is_that_of_its_library(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--xquad", file, "--rows", 6) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["rows"] == 6
    assert set(last["differences"]) == {"squad", "bertscore", "rouge", "perplexity"}
    assert 0 <= last["largest"] <= 1e-6


def test_a_metric_that_is_not_its_librarys_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metrics, "by_hand", lambda answer, reference: (2.0, 0.0))
    assert run(monkeypatch, "--xquad", file, "--only", "squad") == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["largest"] == 2


def test_answers_are_imperfect_each_in_its_way(file: Path) -> None:
    rows = metrics.answers(file, 6)
    assert [row["answer"] for row in rows] == [
        "The valve is opened by hand.",
        "within 24",
        "a pump",
        "The A PUMP.",
        "",
        "The valve is opened by hand.",
    ]
    assert rows == metrics.answers(file, 6)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("The valve, opened", "a valve opened", (1, 1)),
        # One of two words and one of one: 2 * 1/2 * 1 / (1/2 + 1) = 2/3
        ("fuel oil", "oil", (2 / 3, 0)),
        ("", "oil", (0, 0)),
        ("the", "a", (1, 1)),
    ],
)
def test_the_definition_by_hand(answer: str, reference: str, expected: tuple[float, float]) -> None:
    assert metrics.by_hand(answer, reference) == pytest.approx(expected)


def test_a_file_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"squad\.json \(--xquad\) holds no question with an answer"):
        metrics.answers(write(tmp_path), 3)


def test_a_file_in_another_format_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.json").write_text("[]")
    code: Any = run(monkeypatch, "--xquad", tmp_path / "rows.json")
    assert "is no file in SQuAD's format" in code
