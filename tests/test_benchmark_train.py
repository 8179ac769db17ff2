import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import train, trainers
from stages import tokens
from stages.errors import FolioError

ALONE = [*train.SETTINGS, "train.epochs=1", "train.learning_rate=0.01", "model=folder", "model.dtype=float32"]


def rows(count: int) -> list[tokens.Row]:
    return [
        tokens.Row(f"{n}", f"p{n}", "open", "text", [3 + n, 4, *range(5, 9 + n % 7)], [20, 21 + n, 22, 2])
        for n in range(count)
    ]


@pytest.fixture
def measured(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    tokens.write(tmp_path / "train.parquet", rows(9))

    def measure(name: str, batch: int) -> dict[str, Any]:
        words = [*ALONE, f"model.path={tiny_model}", f"train.batch={batch}"]
        return trainers.measure(trainers.Job(name, str(tmp_path / "train.parquet"), words), tmp_path / name)

    return measure


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")  # trl 1.16 sets it
@pytest.mark.parametrize("other", ["transformers", "trl-padded"])
def test_the_others_learn_the_same_from_the_same_rows_in_each_step(measured: Any, other: str) -> None:
    ours, theirs = measured("folio", 4), measured(other, 4)
    assert ours["steps"] == theirs["steps"] == len(ours["losses"]) == 3
    assert train.apart(ours["losses"], theirs["losses"]) < 1e-4


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
def test_packed_rows_do_not_see_one_another(measured: Any) -> None:
    # All rows in one step, before any update: in another's light they would have another loss.
    ours, theirs = measured("folio", 9), measured("trl-packed", 9)
    assert ours["steps"] == theirs["steps"] == 1
    assert theirs["losses"] == pytest.approx(ours["losses"], rel=1e-5)


def test_questions_of_the_first_passages_are_read_with_their_first_answers(tmp_path: Path) -> None:
    def question(name: str, *answers: str) -> dict[str, Any]:
        return {"id": name, "question": f"{name}?", "answers": [{"text": answer} for answer in answers]}

    paragraphs = [
        {"context": "One.", "qas": [question("a", "x", "y"), question("b")]},
        {"context": "Two.", "qas": [question("c", "z")]},
        {"context": "Three.", "qas": [question("d", "w")]},
    ]
    file = tmp_path / "squad.json"
    file.write_text(json.dumps({"data": [{"paragraphs": paragraphs[:1]}, {"paragraphs": paragraphs[1:]}]}))
    assert [*train.questions(file, 2)] == [("a", 0, "One.", "a?", "x"), ("c", 1, "Two.", "c?", "z")]


def test_a_file_in_another_format_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text("[]")
    with pytest.raises(FolioError, match=r"rows\.json \(--xquad\) is no file in SQuAD's format"):
        list(train.questions(file, 2))


def test_folio_is_compared_with_the_best_of_the_others() -> None:
    def one(speed: float, peak: float, *losses: float) -> dict[str, Any]:
        return dict(zip(train.FIGURES, (speed, speed / 2, peak, 100), strict=True)) | {"losses": losses}

    figures = {
        "folio": one(8, 300, 2.0, 1.0),
        "folio-divided": one(6, 180, 2.0, 1.0),
        "trl-packed": one(4, 900, 3.0),
        "transformers": one(2, 600, 1.6, 1.0),
    }
    assert train.compared(figures) == {
        "folio_against_best": {"examples_per_second": 2.0, "examples_per_processor_second": 2.0},
        "peak_mib_against_best": {"folio": 0.5, "folio-divided": 0.2},
        "largest_loss_difference": {"transformers": 0.25},
    }  # fmt: skip
