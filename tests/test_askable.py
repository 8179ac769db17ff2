import time

import pytest

from stages.askable import Sentence, opening, sentences, torn

WORDS = (4, 12)


def reasons(text: str, language: str = "en", words: tuple[int, int] = WORDS) -> list[str | None]:
    return [sentence.reason for sentence in sentences(text, language, words)]


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("The pump must be cleaned every week.", None),
        ("DNS | Domain Name System", None),  # a row of a table of acronyms, short as it is
        ("Pump | 3 | clean every week.", "table_row"),
        ("The manual at http://a.example explains the use.", "link"),
        ("The manual at www.a.example explains the use.", "link"),
        ("Who cleans the pump each week?", "question"),
        ("Clean the pump.", "too_short"),
        ("The pump, " * 6 + "and the hose.", "too_long"),
        ("and the pump must be cleaned.", "fragment"),
        ("Cleaning of pumps and hoses", "unfinished"),
        ("It must be cleaned every week.", "leaning"),
        ("However, the pump must be cleaned.", "leaning"),
    ],
)
def test_each_reason(sentence: str, reason: str | None) -> None:
    sound = "Every operator wears gloves at all times!"  # so that no second choice is needed
    assert reasons(f"{sound}\n{sentence}") == [None, reason]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Sie muss jede Woche gereinigt werden."),
        ("ja", "ポンプ は 毎週 清掃 する。"),
    ],
)
def test_other_languages_have_other_stops_and_no_list_of_leaning_words(language: str, text: str) -> None:
    assert reasons(text, language) == [None]


def test_the_bounds_are_within() -> None:
    four, twelve = "Pumps are cleaned weekly.", "Pumps " + "a " * 10 + "end."
    assert reasons(f"{four}\n{twelve}\nPumps are clean.\n{twelve[:-1]} now.") == [
        None,
        None,
        "too_short",
        "too_long",
    ]


def test_a_passage_without_a_sound_sentence_is_asked_about_its_second_choice() -> None:
    text = "It must be cleaned every week.\nCleaning of pumps and hoses\nand the pump must be.\nClean it."
    assert reasons(text) == [None, None, "fragment", "too_short"]
    assert reasons(f"{text}\nThe pump must be cleaned.")[:2] == ["leaning", "unfinished"]


def test_places_are_of_the_passage_and_leave_the_marker_out() -> None:
    text = "- The valve is closed by hand.\n2) The pump is opened with care. Every hose is dry at night."
    found = sentences(text, "en", WORDS)
    assert [text[sentence.start : sentence.end] for sentence in found] == [
        "The valve is closed by hand.",
        "The pump is opened with care.",
        "Every hose is dry at night.",
    ]


def test_a_list_counts_with_what_introduces_it() -> None:
    text = "A policy has these parts:\n- The purpose\n- The scope\n- The owner"
    first, *items = sentences(text, "en", WORDS)
    assert first == Sentence(0, len(text), None)
    assert [item.reason for item in items] == ["too_short"] * 3


@pytest.mark.parametrize(
    "text",
    [
        "A policy has these parts:\n- The purpose",  # one item is no list
        "A policy has these parts:\nThe purpose\nThe scope",  # no markers
        "A policy has these parts.\n- The purpose\n- The scope",  # no colon
        "A policy has these parts:\n\n- The purpose\n- The scope",  # another paragraph
    ],
)
def test_what_is_no_list_stays_a_sentence(text: str) -> None:
    first = sentences(text, "en", WORDS)[0]
    assert first.end == text.index("\n")


def test_half_a_list_is_not_asked_about() -> None:
    intro, item = "A policy has these parts:", "\n- one two three"
    # 5 words and 3 an item: 24 words hold 6 items.
    assert sentences(intro + 6 * item, "en", WORDS)[0].reason is None
    assert sentences(intro + 7 * item, "en", WORDS)[0].reason == "long_list"
    # A footnote between the items, or the end of the passage.
    assert sentences(f"{intro}{2 * item}\nSee http://a.example.{item}", "en", WORDS)[0].reason == "torn_list"
    whole = f"{intro}{2 * item}"
    assert sentences(f"{whole}\nIt needs these, too:{2 * item}", "en", WORDS)[0].reason is None
    assert torn(sentences(whole, "en", WORDS)[0], whole, "- four five six")
    assert not torn(sentences(whole, "en", WORDS)[0], whole, "The policy is old.")
    assert not torn(sentences(intro, "en", WORDS)[0], intro, "- four five six")


@pytest.mark.parametrize(("most", "end"), [(3, None), (7, 36), (9, 36), (10, 51), (99, 51)])
def test_an_opening_is_of_whole_sentences(most: int, end: int | None) -> None:
    text = "The pump must be cleaned every week. Valves are red."
    found = opening(text, "en", most)
    assert (found and found.end) == (end if end != 51 else len(text))
    assert found is None or found.start == 0
    assert opening("", "en", 9) is None


def test_nothing_gives_nothing() -> None:
    assert sentences("", "en", WORDS) == []


@pytest.mark.parametrize("piece", ["a ", "if, ", "A", "A|", "| ", "- ", ":\n- ", "1. ", "A | B\n"])
def test_hostile_passages_take_no_time(piece: str) -> None:
    text = (piece * 4000)[:4000]
    sentences(".", "en", WORDS)  # what is loaded once
    begun = time.perf_counter()
    sentences(text, "en", WORDS)
    assert time.perf_counter() - begun < 0.5
