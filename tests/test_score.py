import math
from typing import Any

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


def test_each_context_and_model_has_its_own_figures_and_n() -> None:
    _, figures = score(Squad(name="squad"), ANSWERS)
    assert figures == {
        "open": {
            "base": {"f1": 0.333333, "exact": 0.333333, "n": 3},  # 1 of 3 right, six places
            "tuned": {"f1": 1.0, "exact": 1.0, "n": 2},
        },
        "closed": {
            "base": {"f1": 0.0, "exact": 0.0, "n": 1},
            "tuned": {"f1": 0.666667, "exact": 0.0, "n": 1},  # 1 of 2 words and 1 of 1: 2/3
        },
    }


def test_a_metric_that_is_no_mean_is_summed_up_by_itself() -> None:
    _, figures = score(Perplexity(name="perplexity"), ANSWERS)
    # ln 2 + ln 8 + ln 4 over three tokens = ln 64 / 3 = ln 4
    assert figures["open"]["base"] == {"perplexity": 4.0, "n": 3}
    assert figures["closed"]["base"] == {"perplexity": 9.0, "n": 1}


def test_each_answer_has_a_row_in_order() -> None:
    rows, _ = score(Squad(name="squad"), ANSWERS)
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
    assert score(Squad(name="squad"), []) == ([], {})
