from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contrast import (
    changes,
    drawn,
    examples,
    link,
    marked,
    paired,
    patterns,
    shown,
    transitions,
    where,
)
from stages.errors import FolioError
from tests.runs import question

PLANTED = "<script>alert(1)</script>"


def asked(name: str, said: str, context: str = "open", **more: Any) -> dict[str, Any]:
    return question(name, context, answer=said, **more)


# paired() and drawn()


def test_both_models_answers_stand_beside_each_other() -> None:
    base = [asked("a", "one"), asked("a", "two", "closed"), asked("b", "three")]
    tuned = [asked("b", "four"), asked("a", "five"), asked("a", "six", "closed")]
    rows = paired(base, tuned)
    assert [(*row["key"], row["base"], row["tuned"]) for row in rows] == [
        ("b", "open", "three", "four"),
        ("a", "open", "one", "five"),
        ("a", "closed", "two", "six"),
    ]


@pytest.mark.parametrize("lacking", ["base", "tuned"])
def test_a_question_that_one_model_was_not_asked_is_named(lacking: str) -> None:
    both = [asked("a", "one"), asked("b", "two")]
    sides = {"base": both, "tuned": both} | {lacking: both[:1]}
    with pytest.raises(FolioError, match=rf"evaluation/{lacking}\.jsonl lacks the question b"):
        paired(sides["base"], sides["tuned"])


def test_few_questions_are_drawn_the_same_in_any_order_with_all_their_contexts() -> None:
    rows = [asked(f"q{n}", "said", context) for n in range(50) for context in ("closed", "open")]
    few = drawn(rows, 6)
    assert few == drawn(rows[::-1], 6)
    assert [row["context"] for row in few] == ["open", "closed"] * 3
    assert len({row["id"] for row in few}) == 3
    assert {row["id"] for row in few} != {"q0", "q1", "q2"}
    assert drawn(rows, 0) == []


# where() and link()


@pytest.mark.parametrize(
    ("pages", "text"), [([7, 7], "manual.pdf, page 7"), ([7, 8], "manual.pdf, pages 7 to 8")]
)
def test_where(pages: list[int], text: str) -> None:
    assert where({"document": "manual.pdf", "pages": pages}) == text


@pytest.mark.parametrize(
    ("document", "target"),
    [
        ("manual.pdf", "manual.pdf#page=7"),
        ("deep/A & B #1?.PDF", "deep/A%20%26%20B%20%231%3F.PDF#page=7"),
        ("notes.txt", "notes.txt"),
        ("javascript:alert(1).pdf", "javascript%3Aalert%281%29.pdf#page=7"),
        ('"onclick="x.pdf', "%22onclick%3D%22x.pdf#page=7"),
        ("über.pdf", "%C3%BCber.pdf#page=7"),
        ("lone \ud800.pdf", "lone%20%3F.pdf#page=7"),
    ],
)
def test_a_link_is_quoted_and_opens_the_page(document: str, target: str) -> None:
    assert link({"document": document, "pages": [7, 9]}) == f"../data/raw/{target}"


# marked()


@pytest.mark.parametrize(
    ("answer", "reference", "html"),
    [
        ("The captain.", "The captain.", "The captain."),
        # Neither case nor punctuation is a difference.
        ("the CAPTAIN", "The captain.", "the CAPTAIN"),
        ("The old captain commands.", "The captain commands.", "The <mark>old</mark> captain commands."),
        # Adjoining words are one mark; blanks stay as they are.
        ("A tall\n ship, the captain", "the captain", "<mark>A tall\n ship,</mark> the captain"),
        ("the captain of it", "the captain", "the captain <mark>of it</mark>"),
        ("of", "", "<mark>of</mark>"),
        ("", "The captain.", ""),
        # A word that is all punctuation is one.
        ("1 + 2", "1 - 2", "1 <mark>+</mark> 2"),
        ("<b> & captain", "captain", "<mark>&lt;b&gt; &amp;</mark> captain"),
    ],
)
def test_words_that_the_reference_lacks_are_marked(answer: str, reference: str, html: str) -> None:
    assert marked(answer, reference) == html


class Texts(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(derandomize=True, deadline=None)
@given(st.text(alphabet="ab <>&\"'/\n;#", max_size=30), st.text(alphabet="ab <>", max_size=10))
def test_what_is_marked_reads_as_the_answer_and_holds_no_markup_of_its_own(
    answer: str, reference: str
) -> None:
    page = Texts(str(marked(answer, reference)))
    assert page.text == answer
    assert page.tags <= {"mark"}


def test_an_answer_of_very_many_words_is_cut_and_what_cannot_be_seen_is_replaced() -> None:
    row = asked("a", "", base="word " * 5000, tuned="\u202eno\x00thing")
    found = shown(row | {"key": ("a", "open")})
    assert len(found["base"]) < 1300
    assert found["base"].endswith("…</mark>")
    assert "\u202e" not in found["tuned"]
    assert "\x00" not in found["tuned"]


def test_a_script_in_an_answer_is_text() -> None:
    found = shown(asked("a", "", base=PLANTED, tuned=PLANTED))
    assert found["base"] == f"<mark>{'&lt;script&gt;alert(1)&lt;/script&gt;'}</mark>"


# changes()


def test_whether_an_answer_got_better_is_told_by_its_own_value() -> None:
    values = {"a": (0.5, 1.0), "b": (1.0, 0.5), "c": (0.5, 0.5)}
    scores = [
        {"id": name, "context": "open", "model": model, "f1": value}
        for name, pair in values.items()
        for model, value in zip(("base", "tuned"), pair, strict=True)
    ]
    scores.append({"id": "d", "context": "open", "model": "base", "f1": 0.5})  # not measured under tuned
    scores += [{"id": "e", "context": "open", "model": model} for model in ("base", "tuned")]
    assert {key[0]: said for key, said in changes(scores, "f1", True).items()} == {
        "a": "better",
        "b": "worse",
        "c": "same",
    }
    assert {key[0]: said for key, said in changes(scores, "f1", False).items()} == {
        "a": "worse",
        "b": "better",
        "c": "same",
    }


# transitions(), patterns(), examples()


def diagnosed() -> tuple[list[dict[str, Any]], dict[Any, str]]:
    found = {
        "a": ("too_verbose", "right"),
        "b": ("too_verbose", "right"),
        "c": ("right", "right"),
        "d": ("empty", "partial"),
    }
    base = [asked(name, f"{name} base") for name in found]
    rows = paired(base, [row | {"answer": f"{row['id']} tuned"} for row in base])
    failures = [
        {"id": name, "model": model, "context": "open", "pattern": pattern}
        for name, pair in found.items()
        for model, pattern in zip(("base", "tuned"), pair, strict=True)
    ]
    return rows, patterns(failures)


def test_the_commonest_transitions_are_named_and_the_others_counted() -> None:
    counted = [
        {"base": "too_verbose", "tuned": "right", "count": 3},
        {"base": "right", "tuned": "right", "count": 2},
        {"base": "empty", "tuned": "partial", "count": 1},
    ]
    verbose = {"base": "too verbose", "tuned": "right", "count": 3}
    empty = {"base": "empty", "tuned": "partial", "count": 1}
    assert transitions(counted, 5) == {"named": [verbose, empty], "left": 0, "stayed": 2}
    assert transitions(counted, 1) == {"named": [verbose], "left": 1, "stayed": 2}


def test_examples_are_of_their_pattern_and_few() -> None:
    rows, known = diagnosed()
    found = {
        group["pattern"]: group["rows"] for group in examples(rows, known, ["empty", "right", "looping"], 2)
    }
    assert list(found) == ["empty", "right"]  # of looping there is none
    assert [row["model"] for row in found["right"]] == ["base", "tuned", "tuned"]
    assert [row["question"] for row in found["empty"]] == ["Who commands d?"]
    assert "base" in found["empty"][0]["answer"]
