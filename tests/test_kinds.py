import time

import pytest

from stages.kinds import FORMS, kind_of


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many pumps are there?", "number"),
        ("How often are pumps cleaned?", "number"),
        ("How are pumps cleaned?", "reason"),
        ("Why are pumps cleaned?", "reason"),
        ("What is a pump?", "definition"),
        ('What does "Ballast" mean?', "definition"),
        ("Which steps should the team take?", "list"),
        ("What does the team do with the old pump in the hold?", "fact"),
        ("Who cleans the pump?", "fact"),
    ],
)
def test_the_kind_of_a_written_question_is_known_by_its_opening(question: str, expected: str) -> None:
    assert kind_of(question, "en") == expected
    assert kind_of(question, "de") == "fact"


@pytest.mark.parametrize("piece", ["a", "a ", "what is ", "s ", "?"])
def test_hostile_questions_take_no_time(piece: str) -> None:
    begun = time.perf_counter()
    for opening in ("what is ", "what does ", "which ", ""):
        for form in FORMS.values():
            form.match((opening + piece * 4000)[:4000])
    assert time.perf_counter() - begun < 0.5
