from collections.abc import Sequence
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from stages.answerer.local import Local
from stages.answerer.openai import OpenAI
from stages.compose import option_keys
from stages.errors import FolioError
from stages.filter.round_trip import RoundTrip, f1
from stages.ledger import Ledger
from stages.model.hub import Hub
from stages.option import Option, build, setting
from stages.verdict import Verdict
from tests.imports import ROOT

PASSAGE = "The captain inspects the lifeboats every week. The cook does not."


@setting
class Told(Option):
    """Answers by heart, and notes what it was asked."""

    answers: dict[str, str | None]
    asked: list[tuple[str, str]]

    def check(self) -> None:
        raise FolioError("no answerer is there")

    def __call__(
        self, questions: Sequence[tuple[str, str]], ledger: Ledger
    ) -> list[tuple[str | None, str | None]]:
        self.asked.extend(questions)
        answers = [self.answers[question] for _, question in questions]
        return [(answer, "timeout" if answer is None else None) for answer in answers]


def pair(question: str, answer: str, **changes: Any) -> dict[str, Any]:
    chunk = {"text": PASSAGE, "language": "en"} | changes.pop("chunk", {})
    return {"chunk": chunk, "question": question, "answer": answer, "evidence": [0, 46]} | changes


def judge(pairs: Sequence[dict[str, Any]], answers: dict[str, str | None], agreement: float) -> list[Verdict]:
    told = Told(name="told", answers=answers, asked=[])
    verdicts = RoundTrip(name="round_trip", answerer=told, agreement=agreement)(pairs, None)  # type: ignore[arg-type]
    assert len(told.asked) == len(set(told.asked))
    return verdicts


@pytest.mark.parametrize(
    ("answer", "reference", "language", "expected"),
    [
        ("The captain.", "captain", "en", 1.0),
        # 1 of 3 words said and 1 of 2 expected: 2 * (1/3 * 1/2) / (1/3 + 1/2).
        ("the old sea captain", "Captain Ahab", "en", 2 / 5),
        # A word counts as often as both have it: 2 shared, 3 said, 4 expected.
        ("week week week", "week by week it", "en", 4 / 7),
        ("the cook", "the captain", "en", 0.0),
        ("der Koch", "der Kapitän", "de", 1 / 2),  # articles of English alone are known
        ("STRASSE", "Straße", "de", 1.0),
        ("ﬁre drill", "fire-drill", "en", 0.0),  # a hyphen makes one word of two
        ("10,000 litres", "10,000", "en", 4 / 5),
        ("", "captain", "en", 0.0),
        ("...", "captain", "en", 0.0),
        ("The", "the", "en", 1.0),  # nothing but an article is a word itself
        ("%", "‰", "en", 0.0),
        # 船长 | 船长 长检 检查: 1 shared of 1 and 3.
        ("船长", "船长检查", "zh", 1 / 2),
        # 船長 が 検査 する | 船長 する.
        ("船長が検査する", "船長する", "ja", 4 / 6),
        # กั ัป ปต ตั ัน | the same and one more.
        ("กัปตัน", "กัปตันช", "th", 10 / 11),
        ("कप्तान निरीक्षण", "कप्तान", "hi", 2 / 3),
    ],
)
def test_f1_is_squads_in_any_script(answer: str, reference: str, language: str, expected: float) -> None:
    assert f1(answer, reference, language) == pytest.approx(expected)
    assert f1(reference, answer, language) == pytest.approx(expected)


def test_words_of_the_question_count_on_neither_side() -> None:
    told = "Who inspects the lifeboats?"
    sentence = "The captain inspects the lifeboats every week."
    # captain | captain every week: 1 shared of 1 and 3.
    assert f1("The captain", sentence, "en", told) == pytest.approx(1 / 2)
    assert f1("The captain", sentence, "en") == pytest.approx(2 / 6)
    assert f1("Who inspects the lifeboats?", sentence, "en", told) == 0
    assert f1("lifeboats", "lifeboats", "en", told) == 0


def test_f1_is_what_torchmetrics_calls_so() -> None:
    from torchmetrics.functional.text import squad

    told = [("The captain, weekly", "the captain"), ("a cook or the cook", "cook"), ("lifeboats", "boats")]
    for answer, reference in told:
        target = {"answers": {"answer_start": [0], "text": [reference]}, "id": "0"}
        theirs = squad({"prediction_text": answer, "id": "0"}, target)["f1"]
        assert f1(answer, reference, "en") == pytest.approx(float(theirs) / 100)


def test_the_answer_must_come_back_in_words_of_the_answer_or_of_its_evidence() -> None:
    pairs = [
        pair("Who inspects the lifeboats?", "the captain"),
        pair("How often does the captain inspect the lifeboats?", "weekly"),
        pair("Who does not?", "the cook", evidence=[47, 65]),
        pair("Where is it?", "at sea", evidence=None),
    ]
    answers: dict[str, str | None] = {
        "Who inspects the lifeboats?": "Captain Ahab",  # 2/3 of the answer, 2/7 of the evidence
        # 0 of the answer; of the evidence 5 words, of which 4 shared: 8/10.
        "How often does the captain inspect the lifeboats?": "captain inspects lifeboats every Monday",
        "Who does not?": "the captain inspects the lifeboats",
        "Where is it?": "sea",  # 1 shared of 1 and 2; no evidence is known
    }
    assert judge(pairs, answers, 0.65) == [
        Verdict(None, 0.6667),
        Verdict(None, 0.8),
        Verdict("no_round_trip", 0.0),
        Verdict(None, 0.6667),
    ]
    assert [found.reason for found in judge(pairs, answers, 0.7)] == ["no_round_trip", None] + [
        "no_round_trip"
    ] * 2
    assert not any(found.reason for found in judge(pairs, answers, 0))


def test_an_answerer_that_fails_is_told_from_one_that_finds_no_answer() -> None:
    assert judge([pair("Who?", "", evidence=None)], {"Who?": None}, 0) == [Verdict("round_trip_timeout")]


@pytest.mark.parametrize("answer", ["", " \n", "\xad"])
def test_no_answer_is_a_reason_of_its_own(answer: str) -> None:
    assert judge([pair("Who?", "", evidence=None)], {"Who?": answer}, 0) == [Verdict("unanswered")]


def test_pairs_that_share_a_question_ask_it_once_for_each_passage() -> None:
    pairs = [
        pair("Who?", "captain"),
        pair("Who?", "cook", evidence=[47, 65]),
        pair("Who?", "cook", chunk={"text": "The cook sleeps."}, evidence=[0, 16]),
    ]
    told = Told(name="told", answers={"Who?": "captain"}, asked=[])
    verdicts = RoundTrip(name="round_trip", answerer=told, agreement=0.5)(pairs, None)  # type: ignore[arg-type]
    assert told.asked == [(PASSAGE, "Who?"), ("The cook sleeps.", "Who?")]
    assert [found.reason for found in verdicts] == [None, "no_round_trip", "no_round_trip"]
    assert judge([], {}, 0.5) == []


def test_what_the_answerer_lacks_is_said_before_any_work() -> None:
    told = Told(name="told", answers={}, asked=[])
    with pytest.raises(FolioError, match="no answerer is there"):
        RoundTrip(name="round_trip", answerer=told, agreement=0.5).check()


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", ["filter=[evidence,round_trip]", *overrides])


def test_the_answerer_is_chosen_apart() -> None:
    local = build(composed(), "filter.round_trip")
    assert isinstance(local.answerer, Local)
    assert composed().verify.watch == local.answerer.watch == "conf/model/embedded.yaml"
    local.check()
    config = composed("model@filter.round_trip.answerer.model=hub", "filter.round_trip.answerer.batch=4")
    hub = build(config, "filter.round_trip").answerer
    assert (type(hub.model), hub.batch, hub.watch) == (Hub, 4, "conf/model/hub.yaml")
    config = composed("answerer@filter.round_trip.answerer=openai", "filter.round_trip.answerer.model=big")
    asked = build(config, "filter.round_trip").answerer
    assert isinstance(asked, OpenAI)
    assert asked.identity == "big at http://localhost:8000/v1"
    assert "filter.round_trip" in set(option_keys(config))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("filter.round_trip.agreement=40", "filter.round_trip.agreement=40: input should be less"),
        ("filter.round_trip.answerer.batch=0", "filter.round_trip.answerer.batch=0: input should be greater"),
        ("filter.round_trip.answerer=openai", "choose one with answerer@filter.round_trip.answerer=local"),
        ("model@filter.round_trip.answerer.model=folder", "models/base .* holds no config.json"),
    ],
)
def test_a_wrong_choice_is_one_sentence(override: str, words: str) -> None:
    with pytest.raises(FolioError, match=words) as error:
        build(composed(override), "filter.round_trip").check()
    assert "\n" not in str(error.value)
