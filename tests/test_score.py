import math
from collections.abc import Sequence
from typing import Any

import pytest

from stages.errors import FolioError
from stages.figure import Metric
from stages.jsonl import Record
from stages.metric.bertscore import Bertscore
from stages.metric.length import Length
from stages.metric.perplexity import Perplexity
from stages.metric.squad import Squad
from stages.score import score


def answer(name: str, model: str, context: str, said: str, *losses: float) -> dict[str, Any]:
    return {
        "id": name,
        "chunk": f"c-{name}",
        "model": model,
        "context": context,
        "answer": said,
        "reference": "oil",
        "token_losses": list(losses),
    }


ANSWERS = [
    answer("a", "base", "open", "oil", math.log(2)),
    answer("b", "base", "open", "water", math.log(8)),
    answer("c", "base", "open", "water", math.log(4)),
    answer("a", "base", "closed", "water", math.log(9)),
    answer("a", "tuned", "open", "oil", 0.0),
    answer("b", "tuned", "open", "oil", 0.0),
    answer("a", "tuned", "closed", "fuel oil", math.log(3)),
]


def test_each_context_has_the_figures_of_both_models_on_the_same_questions() -> None:
    _, figures = score(Squad(name="squad"), ANSWERS, 0)
    found = figures["open"]
    # c was not answered by the tuned model: of a and b base has one right, tuned both.
    assert (found["n"], found["passages"], found["not_measured"]) == (2, 2, 1)
    assert [found[model]["f1"]["value"] for model in ("base", "tuned")] == [0.5, 1.0]
    gap = found["difference"]["f1"]
    assert gap["value"] == 0.5
    # Of the draws of two passages a quarter holds a twice, where the models are even: that counts half.
    assert gap["improvement"] == pytest.approx(0.75 + 0.25 / 2, abs=0.03)
    closed = figures["closed"]
    assert closed["n"] == 1
    assert closed["tuned"]["f1"] == {"value": 0.666667, "low": None, "high": None}  # 1 of 2 words and 1 of 1
    assert closed["difference"]["f1"]["improvement"] is None


def test_of_a_neutral_figure_neither_more_nor_less_is_better() -> None:
    answers = [row | {"tokens": len(row["answer"]), "cut_off": False} for row in ANSWERS]
    gaps = score(Length(name="length", looping=0.5), answers, 0)[1]["open"]["difference"]
    # oil and water of base, oil twice of tuned.
    assert gaps["tokens"]["value"] == -1
    assert gaps["tokens"]["improvement"] is None
    assert gaps["tokens"]["low"] is not None
    # No draw differs.
    assert gaps["empty"]["improvement"] == 0.5


def test_a_value_that_bears_the_name_of_what_identifies_an_answer_is_refused() -> None:
    class Clash(Metric):
        def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
            return [{}, *({"model": 1.0} for _ in answers[1:])]

    with pytest.raises(FolioError, match=r"metric\.hub gives a figure named model"):
        score(Clash(name="hub"), ANSWERS, 0)


def test_a_metric_that_is_no_mean_is_made_of_its_sums() -> None:
    _, figures = score(Perplexity(name="perplexity"), ANSWERS, 0)
    # ln 2 + ln 8 over two tokens = ln 4; tuned loses nothing.
    assert figures["open"]["base"]["perplexity"]["value"] == 4.0
    assert figures["open"]["difference"]["perplexity"]["value"] == -3.0
    # Less is better, and it is less in every draw.
    assert figures["open"]["difference"]["perplexity"]["improvement"] == 1.0


def test_the_estimate_is_told_as_n_grows() -> None:
    both = [
        answer(f"{n:03}", model, "open", "oil" if model == "tuned" or n % 2 else "water", 1.0)
        for model in ("base", "tuned") for n in range(30)
    ]  # fmt: skip
    _, figures = score(Squad(name="squad"), both, 0)
    settling = figures["open"]["settling"]
    assert [cell["n"] for cell in settling] == [10, 20, 30]
    assert [cell["difference"]["exact"]["value"] for cell in settling] == [0.5, 0.5, 0.5]
    widths = [c["difference"]["exact"]["high"] - c["difference"]["exact"]["low"] for c in settling]
    assert widths[0] > widths[1] > widths[2]


def test_what_cannot_be_measured_is_counted_and_in_no_figure() -> None:
    class Long(Squad):
        def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
            scored = super().__call__(answers)
            return [{} if row["id"] == "b" else value for row, value in zip(answers, scored, strict=True)]

    _, figures = score(Long(name="squad"), ANSWERS, 0)
    assert (figures["open"]["n"], figures["open"]["not_measured"]) == (1, 2)


def test_each_answer_has_a_row_in_order() -> None:
    rows, _ = score(Squad(name="squad"), ANSWERS, 0)
    keys = ("id", "model", "context", "chunk")
    assert [[row[key] for key in keys] for row in rows] == [[row[key] for key in keys] for row in ANSWERS]
    assert rows[0] == {
        "id": "a",
        "model": "base",
        "context": "open",
        "chunk": "c-a",
        "f1": 1.0,
        "exact": 1.0,
    }


def test_no_answers_no_figures() -> None:
    assert score(Squad(name="squad"), [], 0) == ([], {})


def held_out(n: int, leaked: int) -> list[dict[str, Any]]:
    """Answers on `n` questions: base is wrong; tuned is right where the question leaked, and on one more."""
    return [
        answer(f"{at:03}", model, context, "oil" if model == "tuned" and at <= leaked else "water", 1.0)
        for model in ("base", "tuned") for context in ("open", "closed", "trained") for at in range(n)
    ]  # fmt: skip


def test_figures_with_and_without_the_questions_that_leaked() -> None:
    rows, figures = score(Squad(name="squad"), held_out(20, 4), 0, {f"{at:03}" for at in range(4)})
    assert len(rows) == 120
    for context in ("open", "closed"):
        found = figures[context]
        assert (found["n"], found["clean"]["n"], found["clean"]["passages"]) == (20, 16, 16)
        assert found["difference"]["exact"]["value"] == 5 / 20
        assert found["clean"]["difference"]["exact"]["value"] == 1 / 16
        assert found["clean"]["base"]["exact"]["value"] == 0
        assert [cell["n"] for cell in found["settling"]] == [10, 20]
        assert "clean" not in found["settling"][-1]
    # A trained question is no leak.
    assert "clean" not in figures["trained"]
    without = score(Squad(name="squad"), held_out(20, 4), 0)[1]
    assert figures["trained"] == without["trained"]
    assert {key: value for key, value in figures["open"].items() if key != "clean"} == without["open"]


def test_where_none_of_the_asked_questions_leaked_there_is_one_figure() -> None:
    _, figures = score(Squad(name="squad"), held_out(5, 2), 0, {"another"})
    assert all("clean" not in cell for cell in figures.values())


def test_where_all_leaked_nothing_is_clean() -> None:
    _, figures = score(Squad(name="squad"), held_out(3, 3), 0, {"000", "001", "002"})
    assert figures["open"]["clean"] == {"n": 0, "passages": 0}


def test_the_model_that_measures_stands_beside_its_figures() -> None:
    silent = [row | {"answer": ""} for row in ANSWERS]  # for which nothing is loaded
    _, figures = score(Bertscore(name="bertscore", package="some-embedder", layers=5, batch=2), silent, 0)
    assert {cell["by"] for cell in figures.values()} == {"some-embedder, layer 5"}
    _, figures = score(Squad(name="squad"), ANSWERS, 0)
    assert "by" not in figures["open"]


def test_figures_of_which_less_is_better_are_named() -> None:
    _, figures = score(Perplexity(name="perplexity"), ANSWERS, 0)
    assert {tuple(cell["lower_is_better"]) for cell in figures.values()} == {("perplexity",)}
    _, figures = score(Squad(name="squad"), ANSWERS, 0)
    assert "lower_is_better" not in figures["open"]
