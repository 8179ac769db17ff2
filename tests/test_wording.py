from typing import Any

import pytest

from stages.errors import FolioError
from stages.wording import RefusedError
from tests.forms import CHAT, form

ASKED = {"question": "Who {acts}?", "passage": "The team acts. {question} $1"}
OPTIONS = {"question": "Which?", "options": ["A. One", "B. Two"]}


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_a_question_is_asked_alone_or_behind_its_passage() -> None:
    assert CHAT.turns(ASKED, with_passage=False) == [said("user", "Who {acts}?")]
    # What stands in a record is never read as a field.
    (turn,) = CHAT.turns(ASKED, with_passage=True)
    assert turn["content"] == (
        "Answer the question from the passage.\n\nPassage: The team acts. {question} $1\n\n"
        "Question: Who {acts}?"
    )


@pytest.mark.parametrize("record", [{"question": "Who?"}, {"question": "Who?", "passage": None}])
def test_without_a_passage_every_question_is_asked_alone(record: dict[str, Any]) -> None:
    assert CHAT.turns(record, with_passage=True) == [said("user", "Who?")]


def test_options_stand_one_a_line_behind_the_question() -> None:
    (turn,) = CHAT.turns(OPTIONS, with_passage=False)
    assert turn["content"] == "Which?\n\nAnswer with one of these options:\nA. One\nB. Two"
    (turn,) = CHAT.turns(OPTIONS | {"passage": "P"}, with_passage=True)
    assert turn["content"].endswith("Passage: P\n\nQuestion: " + CHAT.turns(OPTIONS, False)[0]["content"])


def test_what_was_said_before_stands_before_the_question() -> None:
    history = [said("system", "Be brief."), said("user", "Hi"), said("assistant", "Hello")]
    found = CHAT.turns({"question": "Who?", "history": history}, with_passage=False)
    assert found == [*history, said("user", "Who?")]
    assert len(history) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alone": "Ask"}, r"format\.alone must name each of \{question\} once"),
        ({"alone": "{question} {question}"}, "once, and no other field"),
        ({"alone": "{question} {passage}"}, "once, and no other field"),
        ({"alone": "{question.__class__}"}, "once, and no other field"),
        ({"alone": "{question!r}"}, "once, and no other field"),
        ({"alone": "{question:9}"}, "once, and no other field"),
        ({"alone": "{question"}, r"format\.alone is no text with fields: .*; write a brace as \{\{ or \}\}"),
        ({"with_passage": "{question}"}, r"format\.with_passage must name each of \{passage\}, \{question\}"),
        ({"with_passage": "{question} {passage}"}, "name the passage first"),
        ({"with_options": "{options}"}, r"format\.with_options must name"),
        ({"tokens": ["<a>", "<a>"]}, r"format\.tokens names a token twice"),
        ({"tokens": [""]}, r"format\.tokens\.0=''"),
        ({"template": "{% for %}"}, r"format\.template is no Jinja template: line 1: "),
        ({"tokns": []}, r"format\.tokns is not a setting; did you mean tokens\?"),
    ],
)
def test_a_format_that_asks_nothing_sensible_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FolioError, match=words):
        form("chat", **changes)


def test_braces_and_other_jinja_extensions_may_be_written() -> None:
    assert form("chat", alone="{{{question}}}").turns(ASKED, False)[0]["content"] == "{Who {acts}?}"
    form(
        "chat",
        template="{% for m in messages %}{% generation %}{{ m }}{% endgeneration %}{% break %}{% endfor %}",
    )


@pytest.mark.parametrize(
    "record",
    [
        {"question": "a <t> b"},
        {"question": "a", "passage": "x<t>"},
        {"question": "a", "options": ["A. <t>"]},
        {"question": "a", "history": [said("system", "<t>")]},
    ],
)
def test_a_text_that_spells_a_special_token_out_is_refused(record: dict[str, Any]) -> None:
    tokens = form("chat", tokens=["<t>"])
    with pytest.raises(RefusedError, match="spells out <t>, a special token of format=chat"):
        tokens.turns(record, with_passage=True)
    assert tokens.turns({"question": "a", "passage": "<t>"}, with_passage=False)
