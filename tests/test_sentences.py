import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.sentences import LONGEST, spans


def sentences(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in spans(text, language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One ends. Two follows!  Three?", ["One ends.", "Two follows!", "Three?"]),
        ("The U.S. Army came (see Fig. 3). Done.", ["The U.S. Army came (see Fig. 3).", "Done."]),
        ("It holds 3.5 litres. Fill it.", ["It holds 3.5 litres.", "Fill it."]),
        # A line break ends a sentence, with or without a full stop.
        ("A heading\nA sentence.", ["A heading", "A sentence."]),
        ("  blanks around.  \n\n  and here ", ["blanks around.", "and here"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_english(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_the_language_decides_what_an_abbreviation_is() -> None:
    text = "Das gilt z. B. für Dr. Meier. Er kam."
    assert sentences(text, "de") == ["Das gilt z. B. für Dr. Meier.", "Er kam."]


def test_spans_count_characters_not_bytes() -> None:
    text = "Größe 3 µm – geprüft. 検査 ok."
    assert next(iter(spans(text, "en"))) == (0, text.index(".") + 1)


@settings(derandomize=True, deadline=None)
@given(
    st.text(alphabet="aB1 .?!\n\t\"'()é検。\xa0\u2028😀", max_size=80), st.sampled_from(["en", "de", "ja"])
)
def test_every_letter_stands_in_one_sentence_and_none_has_blank_ends(text: str, language: str) -> None:
    found = list(spans(text, language))
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in found)
    # The spans follow one another, and what lies between them is blank.
    ends = [0, *(end for _, end in found)]
    starts = [*(start for start, _ in found), len(text)]
    assert all(not text[end:start].strip() and end <= start for end, start in zip(ends, starts, strict=True))


def test_a_sentence_that_never_ends_is_cut_between_words() -> None:
    text = "word " * 3000
    found = list(spans(text, "en"))
    assert max(end - start for start, end in found) <= LONGEST
    assert " ".join(text[start:end] for start, end in found) == text.strip()
    solid = "x" * 9000
    assert list(spans(solid, "en")) == [(0, 4000), (4000, 8000), (8000, 9000)]
