import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text import squad

from stages.overlap import (
    Overlap,
    contains,
    figures,
    loop_at_end,
    normalised,
    overlap,
    repeated_share,
    running_words,
    share_within,
    told,
)

# normalised()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The captain's log, and an oar.", ["captains", "log", "and", "oar"]),
        ("the team’s “plan” — now", ["teams", "plan", "now"]),  # as typewriter quotes and dashes
        ("e-mail $5", ["email", "5"]),
        ("ﬁre 第1章", ["fire", "第", "1", "章"]),
        ("海事局", ["海事", "事局"]),
        ("The a an.", []),
        ("", []),
    ],
)
def test_words_as_squad_compares_them(text: str, words: list[str]) -> None:
    assert normalised(text) == words


@settings(derandomize=True, deadline=None, max_examples=60)
@given(*[st.text(alphabet="aAtThHeEnx 1.,'-$", max_size=24)] * 2)
def test_f1_of_ascii_text_is_that_of_squad(answer: str, reference: str) -> None:
    found = squad(
        {"prediction_text": answer, "id": "0"},
        {"answers": {"answer_start": [0], "text": [reference]}, "id": "0"},
    )
    assert overlap(normalised(answer), normalised(reference)).f1 == pytest.approx(float(found["f1"]) / 100)


# overlap()


def test_overlap_counts_a_repeated_word_as_often_as_it_stands() -> None:
    # "oil" is shared twice, "pump" once: 3 of 4 words said, 3 of 5 expected; 2 * 3 / 9.
    found = overlap(["oil", "oil", "pump", "sea"], ["pump", "oil", "oil", "oil", "hold"])
    assert found == Overlap(3 / 4, 3 / 5, 6 / 9)


def test_an_empty_list_agrees_with_an_empty_one_alone() -> None:
    assert overlap([], []) == Overlap(1, 1, 1)
    assert overlap([], ["oil"]) == overlap(["oil"], []) == Overlap(0, 0, 0)


# contains()


def test_a_part_stands_in_order_and_unbroken() -> None:
    words = "pump the bilge dry".split()
    assert contains(words, ["the", "bilge"])
    assert contains(words, words)
    assert not contains(words, ["pump", "bilge"])
    assert not contains(words, [])
    assert not contains([], ["pump"])


# repeated_share(), loop_at_end()


def test_the_share_of_repeated_n_grams() -> None:
    # Pairs: ab bc ca ab bc: 3 distinct of 5.
    assert repeated_share(list("abcabc"), 2) == pytest.approx(2 / 5)
    assert repeated_share(list("abcdef"), 2) == 0
    assert repeated_share(list("ab"), 4) == 0


@pytest.mark.parametrize(
    ("words", "length"),
    [
        ("xabab", 0),  # two rounds
        ("xababab", 6),
        ("xabababa", 7),  # the last round is cut short
        ("xyzzz", 3),
        ("abababx", 0),  # not at the end
        ("aaa", 3),
        ("ab", 0),
        ("", 0),
    ],
)
def test_a_unit_said_three_times_at_the_end(words: str, length: int) -> None:
    assert loop_at_end(list(words), 3) == length


def test_running_words_are_cut_at_all_punctuation() -> None:
    assert running_words("The log-in: it's\nOIL/sea") == ["the", "log", "in", "it's", "oil", "sea"]
    assert running_words("海事 x") == ["海", "事", "x"]


@settings(derandomize=True, deadline=None)
@given(st.lists(st.sampled_from("ab"), max_size=12), st.integers(2, 4))
def test_what_a_loop_counts_is_one_unit_again_and_again(words: list[str], rounds: int) -> None:
    def is_loop(tail: list[str]) -> bool:
        sizes = range(1, len(tail) // rounds + 1)
        return any(all(tail[i] == tail[i + size] for i in range(len(tail) - size)) for size in sizes)

    lengths = [length for length in range(1, len(words) + 1) if is_loop(words[-length:])]
    assert loop_at_end(words, rounds) == max(lengths, default=0)


# share_within(), figures(), told()


def test_shares_and_figures_of_sets() -> None:
    assert share_within({"oil", "pump", "sea"}, {"oil", "sea", "hold"}) == pytest.approx(2 / 3)
    assert share_within(set(), {"oil"}) == 1
    assert figures({"oil", "2012", "co2"}) == {"2012", "co2"}


def test_what_a_text_says_beyond_the_question() -> None:
    # Stems of five letters; function words are none.
    assert told("The captain checks the pumps daily.", "en") == {"capta", "check", "pump", "daily"}
    assert told("The captain checks the pumps.", "en", beyond="Who checks pumps?") == {"capta"}
    # The number of an item is no figure, that of hours is one.
    assert told("1. the crew’s log\n(2) 4 hours", "en", beyond="the crew's") == {"log", "4", "hour"}
