import pytest

from stages.errors import FolioError
from tests.forms import form


def test_the_control_token_stands_before_the_question_or_its_passage() -> None:
    control = form("control")
    assert control.tokens == ("[good]", "[bad]")
    (alone,) = control.turns({"question": "Who?"}, with_passage=False)
    assert alone["content"] == "[good]Who?"
    (behind,) = control.turns({"question": "Who?", "passage": "P"}, with_passage=True)
    assert behind["content"].startswith("[good]Answer the question from the passage.\n\nPassage: P")


def test_a_record_may_name_its_own_control() -> None:
    control = form("control", control="bad")
    asked = [
        control.turns({"question": "Who?", "control": name}, False)[0]["content"] for name in ("good", None)
    ]
    assert asked == ["[good]Who?", "[bad]Who?"]
    with pytest.raises(FolioError, match=r"the control goood is none of good, bad .*; did you mean good\?"):
        control.turns({"question": "Who?", "control": "goood"}, with_passage=False)


def test_earlier_questions_bear_the_control_too() -> None:
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    record = {"question": "Who?", "history": history, "control": "bad"}
    contents = [turn["content"] for turn in form("control").turns(record, with_passage=False)]
    assert contents == ["[bad]Hi", "Hello", "[bad]Who?"]


def test_controls_that_are_no_tokens_are_refused() -> None:
    with pytest.raises(FolioError, match=r"format\.control=best is none of good, bad"):
        form("control", control="best")
    with pytest.raises(FolioError, match=r"format\.tokens must hold every token of format\.controls"):
        form("control", tokens=["[good]"])
    with pytest.raises(FolioError, match=r"\{control\}"):
        form("control", alone="{question}")
