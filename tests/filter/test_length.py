from typing import Any

import pytest
from omegaconf import OmegaConf

from stages.errors import FolioError
from stages.filter.length import Length
from stages.option import build
from stages.verdict import Verdict
from tests.imports import ROOT

LENGTH = Length(name="length", question_words=(4, 6), answer_words=(2, 3))


def verdict(question: str = "Who inspects the lifeboats?", answer: str = "The captain.") -> Verdict:
    pair: dict[str, Any] = {"chunk": {"language": "en"}, "question": question, "answer": answer}
    (found,) = LENGTH([pair], None)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ({}, Verdict()),
        ({"question": "Who inspects all the lifeboats, when?"}, Verdict()),  # 6: the bounds are within
        ({"question": "Who inspects lifeboats?"}, Verdict("question_too_short", 3.0)),
        ({"question": "Qui inspecte les ?"}, Verdict("question_too_short", 3.0)),
        ({"question": "Who inspects all the lifeboats and when?"}, Verdict("question_too_long", 7.0)),
        ({"question": "谁检查救生艇？"}, Verdict("question_too_short", 3.0)),
        ({"question": "谁每四周检查一次救生艇？"}, Verdict()),  # 11 characters
        ({"answer": "Captain"}, Verdict("answer_too_short", 1.0)),
        ({"answer": "..."}, Verdict("answer_too_short", 0.0)),
        ({"answer": "the captain and crew"}, Verdict("answer_too_long", 4.0)),
        # The question is looked at first.
        ({"question": "Who?", "answer": ""}, Verdict("question_too_short", 1.0)),
    ],
)
def test_both_are_measured_in_words(pair: dict[str, str], expected: Verdict) -> None:
    assert verdict(**pair) == expected


def test_the_default_keeps_short_definitions() -> None:
    config = OmegaConf.create({"f": OmegaConf.load(ROOT / "conf/filter/length.yaml")})
    default = build(config, "f")
    pair = {"question": "What is phishing?", "answer": "A fraud."}
    assert default([pair], None) == [Verdict()]
    assert default([], None) == []


@pytest.mark.parametrize(
    ("name", "bounds"), [("question_words", [5, 4]), ("answer_words", [0, 4]), ("answer_words", [9, 2])]
)
def test_bounds_that_leave_nothing_are_refused(name: str, bounds: list[int]) -> None:
    config = OmegaConf.load(ROOT / "conf/filter/length.yaml")
    config[name] = bounds
    with pytest.raises(FolioError) as error:
        build(OmegaConf.create({"filter": {"length": config}}), "filter.length")
    assert str(error.value) == f"filter.length.{name}={bounds}: give the least, 1 or more, then the most"
