from typing import Any

import pytest

from stages.settings.generate import Generate
from stages.verify import CHECKS, content_words, reason_against

SETTINGS = Generate(
    pairs_per_chunk=3, minimum_score=-1.1, answer_share=0.35, foreign_words=0, keep_share=0.02, plan=False
)
ANSWER = "The captain inspects the lifeboats every four weeks and enters the result in the log."


def pair(question: str = "Who inspects the lifeboats?", **changes: Any) -> dict[str, Any]:
    """A pair whose answer is a whole sentence of its passage, unless `chunk` and `evidence` say otherwise."""
    answer = changes.get("answer", ANSWER)
    source = {"chunk": {"text": answer}, "evidence": [0, len(answer)]}
    return (
        source | {"question": question, "answer": ANSWER, "topic": "Safety drills", "score": -0.5} | changes
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # Five letters make a stem: inspects, inspection -> inspe.
        ("Who inspects it, and the inspection?", {"inspe"}),
        ("valve Valves VALVE", {"valve"}),
        ("week weeks", {"week"}),
        ("re-entry: 3.5 m_2", {"re-en", "3", "5", "m", "2"}),
        ("What is it?", set()),
    ],
)
def test_content_words(text: str, words: set[str]) -> None:
    assert content_words(text) == words


@pytest.mark.parametrize(
    "good",
    [
        pair(),
        pair("What does the captain enter in the log?"),
        # A word of the heading is not foreign.
        pair("Who inspects the lifeboats in safety drills?"),
        # The bounds themselves stand.
        pair(score=-1.1),
    ],
    ids=lambda good: good["question"],
)
def test_a_good_pair_stands(good: dict[str, Any]) -> None:
    assert reason_against(good, SETTINGS) is None


@pytest.mark.parametrize(
    ("reason", "bad"),
    [
        ("malformed", pair("Who inspects the lifeboats")),
        ("malformed", pair("Inspects the captain the lifeboats?")),
        ("malformed", pair("Whoever inspects the lifeboats?")),
        ("malformed", pair("Who inspects\nthe lifeboats?")),
        ("malformed", pair("Who inspects lifeboats?")),  # 3 words
        ("malformed", pair("Who " + "inspects " * 24 + "lifeboats?")),  # 26 words
        ("malformed", pair("")),
        ("dangling", pair("Who inspects these lifeboats?")),
        ("dangling", pair("What does the passage say of lifeboats?")),
        ("dangling", pair("Who inspects IT every four weeks?")),
        ("empty", pair("What is a lifeboat?")),  # one word that carries meaning
        ("foreign_words", pair("Who repairs the lifeboats?")),
        ("off_topic", pair("What are the safety drills?")),
        # Of the answer's words only captain is left.
        (
            "echoes_answer",
            pair("Who inspects the lifeboats every four weeks and enters the result in the log?"),
        ),
        ("unlikely", pair(score=-1.101)),
    ],
)
def test_a_bad_pair_is_rejected_for_its_reason(reason: str, bad: dict[str, Any]) -> None:
    assert reason_against(bad, SETTINGS) == reason


def test_the_parameters_above_cover_every_reason() -> None:
    (mark,) = test_a_bad_pair_is_rejected_for_its_reason.pytestmark  # type: ignore[attr-defined]
    assert {reason for reason, _ in mark.args[1]} == set(CHECKS)


def test_the_plainest_reason_comes_first() -> None:
    assert reason_against(pair("Who repairs it", score=-9.0), SETTINGS) == "malformed"


def settings(**changes: float) -> Generate:
    values: dict[str, Any] = {"pairs_per_chunk": 3, "minimum_score": -1.1, "answer_share": 0.35}
    return Generate(**values | {"foreign_words": 0, "keep_share": 0.02, "plan": False} | changes)


def test_foreign_words_may_be_allowed() -> None:
    bad = pair("Who quickly repairs the lifeboats?")
    # quickly and repairs
    assert reason_against(bad, settings(foreign_words=1)) == "foreign_words"
    assert reason_against(bad, settings(foreign_words=2)) is None


def test_the_share_of_the_answer_that_stays_unsaid_is_a_bound() -> None:
    # Of capta, inspe, lifeb, every, four, week, enter, resul, log the question names 4: 5 of 9 are left.
    half = pair("Who inspects the lifeboats every four days?", topic="Days")
    assert reason_against(half, settings(answer_share=5 / 9)) is None
    assert reason_against(half, settings(answer_share=0.56)) == "echoes_answer"


def test_at_least_three_words_of_the_answer_stay_unsaid() -> None:
    # Without a share asked for, 3 of 5 words are enough and 2 of 4 are not.
    question = "Who inspects the lifeboats?"
    enough = pair(question, answer="The captain inspects the lifeboats every week.")
    short = pair(question, answer="The captain inspects the lifeboats weekly.")
    assert reason_against(enough, settings(answer_share=0.0)) is None
    assert reason_against(short, settings(answer_share=0.0)) == "echoes_answer"


def test_a_phrase_is_measured_by_the_sentence_that_it_rests_on() -> None:
    phrase = pair(
        "How often does the captain inspect the lifeboats?",
        answer="Every four weeks.",
        chunk={"text": ANSWER},
        evidence=[0, len(ANSWER)],
    )
    # "often" stands nowhere in the sentence.
    assert reason_against(phrase, settings()) == "foreign_words"
    assert reason_against(phrase, settings(foreign_words=1)) is None
    echo = phrase | {"question": "Does the captain inspect the lifeboats every four weeks?"}
    assert (
        reason_against(
            echo | {"question": "When are lifeboats inspected, in four weeks?"}, settings(foreign_words=2)
        )
        == "echoes_answer"
    )
