import pytest

from stages.evidence import Evidence, locate

PASSAGE = "The “first officer”\ninspects  the life\xadboats — every four weeks. The ﬁnal log is signed."


def found(quote: str, least: float = 0.9) -> tuple[str, float]:
    evidence = locate(quote, PASSAGE, least)
    return PASSAGE[evidence.start : evidence.end], evidence.similarity


def test_a_quote_that_stands_there_letter_for_letter_is_located() -> None:
    assert locate("every four weeks", PASSAGE, 1.0) == Evidence(47, 63, 1.0)


@pytest.mark.parametrize(
    ("quote", "part"),
    [
        ('The "first officer" inspects the', "The “first officer”\ninspects  the"),
        ("the lifeboats - every four", "the life\xadboats — every four"),
        ("The final log", "The ﬁnal log"),
        ('"every four weeks ..."', "every four weeks"),
    ],
)
def test_blanks_quotes_dashes_and_ligatures_do_not_matter(quote: str, part: str) -> None:
    assert found(quote, 1.0) == (part, 1.0)


def test_a_quote_with_a_slip_is_located_by_whole_words() -> None:
    part, similarity = found("every five weeks. The final log is signed")
    assert part == "every four weeks. The ﬁnal log is signed"
    # 41 letters each; "our" became "ive": 3 out, 3 in of 82 letters.
    assert similarity == pytest.approx(1 - 6 / 82, abs=1e-4)


def test_below_the_threshold_the_span_is_empty_and_the_similarity_stays() -> None:
    part, similarity = found("every five weeks. The final log is signed", 0.95)
    assert part == ""
    assert similarity == pytest.approx(1 - 6 / 82, abs=1e-4)


@pytest.mark.parametrize(
    "quote", ["", " … ", "zebra quagga xylophone", PASSAGE + " And much that stands nowhere."]
)
def test_what_does_not_stand_there_is_not_located(quote: str) -> None:
    assert found(quote)[0] == ""


def test_an_empty_passage_holds_no_quote() -> None:
    assert locate("a", "", 0.9) == Evidence(0, 0, 0.0)
