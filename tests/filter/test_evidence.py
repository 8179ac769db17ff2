from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from stages.errors import FolioError
from stages.filter.evidence import Evidence
from stages.option import build
from stages.verdict import Verdict
from tests.imports import ROOT

CONFIG = OmegaConf.load(ROOT / "conf/filter/evidence.yaml")
EVIDENCE: Evidence = build(OmegaConf.create({"filter": {"evidence": CONFIG}}), "filter.evidence")
PASSAGE = (
    "The first officer inspects the lifeboats every four weeks. It is launched and manoeuvred in the "
    "water once in 3 months. The tanks hold 10,000 litres, or 2.5 days of fuel; SOLAS rules of 1974 apply."
)


def verdict(
    answer: str, quote: str, place: list[int] | None = None, passage: str = PASSAGE, **changes: str
) -> Verdict:
    chunk = {"text": passage, "language": changes.pop("language", "en")}
    pair: dict[str, Any] = {"chunk": chunk, "question": "What does the officer do?", "evidence": place}
    (found,) = EVIDENCE([pair | {"answer": answer, "quote": quote} | changes], None)  # type: ignore[arg-type]
    return found


def span(part: str) -> tuple[int, int]:
    start = PASSAGE.index(part)
    return start, start + len(part)


def test_an_exact_quote_is_located() -> None:
    quote = "inspects the lifeboats every four weeks"
    assert verdict("Inspect the lifeboats.", quote) == Verdict(None, 1.0, span(quote))


def test_a_place_that_holds_the_quote_is_kept() -> None:
    passage = "Every boat is tested. Every boat is tested."
    quote = "Every boat is tested."
    # A search would find the first.
    assert verdict("tested", quote, [22, 43], passage) == Verdict(None, 1.0, (22, 43))


@pytest.mark.parametrize("place", [[0, 21], [0, 0], [-39, 39], [0, 10**9], [40, 20]])
def test_a_place_that_does_not_hold_the_quote_is_looked_for_anew(place: list[int]) -> None:
    quote = "inspects the lifeboats every four weeks"
    assert verdict("Inspect the lifeboats.", quote, place) == Verdict(None, 1.0, span(quote))


def test_a_quote_with_a_slip_is_located_with_its_similarity() -> None:
    found = verdict("launched and manoeuvred", "It is launched and maneuvered in the water")
    assert found.reason is None
    assert found.evidence == span("It is launched and manoeuvred in the water")
    # 42 letters in the passage, 42 in the quote; "ou" out, "er" for "re": 40 in common at most.
    assert found.score == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    "quote", ["", " ", "...", "Bananas are rich in potassium", "the cook inspects all galleys"]
)
def test_a_quote_that_stands_nowhere_is_missing(quote: str) -> None:
    found = verdict("inspects", quote)
    assert found.reason == "evidence_missing"
    assert found.evidence is None
    assert found.score is not None
    assert found.score < 0.9


def test_punctuation_alone_is_no_evidence() -> None:
    assert verdict("inspects", ";").reason == "evidence_missing"


def test_a_scrap_proves_nothing_unless_it_is_the_answer() -> None:
    assert verdict("The first officer inspects.", "The first") == Verdict(
        "evidence_too_short", 1.0, span("The first")
    )
    assert verdict("first officer", "first officer") == Verdict(None, 1.0, span("first officer"))
    assert verdict("First Officer!", "The first officer").reason is None
    # Three words are no scrap.
    assert verdict("The first officer inspects.", "first officer inspects").reason is None


@pytest.mark.parametrize(
    ("answer", "passage"),
    [
        ("every 4 weeks", "every four weeks"),
        ("every four weeks", "every 4 weeks"),
        ("10000 litres", "10,000 litres"),
        ("10 000 litres", "10,000 litres"),
        ("10\u202f000 litres", "10.000 litres"),
        ("10'000 litres", "10000 litres"),
        ("1,234,567 litres", "1234567 litres"),
        ("2.5 litres", "2,5 litres"),
        ("٣ litres", "3 litres"),
        ("５ litres", "5 litres"),
        ("07 litres", "7 litres"),
        ("one of the litres", "all litres"),  # a pronoun
        ("litres: 1. first litres; 2. litres last", "litres first, litres last"),  # a list's own numbers
        ("in 2012 litres", "in 2012 100 litres"),
        ("100 litres", "in 12 100 litres"),
        ("litres in IPv6", "litres in IPv6"),
        ("192.168.1.1 litres", "litres at 192.168.1.1."),
    ],
)
def test_a_number_may_be_written_otherwise(answer: str, passage: str) -> None:
    assert verdict(answer, passage, passage=passage).reason is None


@pytest.mark.parametrize(
    ("answer", "passage"),
    [
        ("4 of the tanks hold 3", "four of the tanks"),
        ("every 5 weeks", "every four weeks"),
        ("every five weeks", "every four weeks"),
        ("1000 litres", "10,000 litres"),
        ("25 litres", "2.5 litres"),
        ("3.1 litres", "3.10 litres"),
        ("1974 litres", "197 litres of 4"),
        ("litres in IPv4", "litres in IPv6"),
        ("2. litres", "litres"),  # one number is no list
        ("1. litres 3. litres", "litres"),
        ("4 litres and 5 litres", "4 litres"),
    ],
)
def test_a_number_that_the_passage_lacks_is_unsupported(answer: str, passage: str) -> None:
    found = verdict(answer, passage, passage=passage)
    assert found.reason == "unsupported_number"
    assert found.score is not None
    assert found.score < 1
    assert found.evidence == (0, len(passage))


def test_numerals_are_those_of_the_language() -> None:
    passage = "alle vier Wochen"
    assert verdict("alle 4 Wochen", passage, passage=passage, language="de").reason is None
    assert verdict("alle 4 Wochen", passage, passage=passage).reason == "unsupported_number"
    assert (
        verdict(
            "20 jours et 17", "vingt jours et dix-sept", passage="vingt jours et dix-sept", language="fr"
        ).reason
        is None
    )
    assert verdict("null Wochen", "0 Wochen", passage="0 Wochen", language="de").reason is None


@pytest.mark.parametrize(
    ("language", "answer", "passage"),
    [
        ("en", "30 days", "thirty days"),
        ("en", "thirty days", "30 days"),
        ("en", "21 days", "twenty-one days"),
        ("en", "Twenty-One days", "21 days"),
        ("en", "the 3rd day", "the third day"),
        ("en", "the 22nd day", "the twenty-second day"),
        ("en", "4 in a plan", "a four-week plan"),
        ("en", "100 days plan", "hundreds of days plan"),
        ("en", "30 seconds", "30 seconds"),  # a unit, not the second
        ("en", "third-party boats", "boats of third parties"),
        ("de", "21 Tage", "einundzwanzig Tage"),
        ("de", "fünfunddreißig Tage", "35 Tage"),
        ("de", "Tag 3", "am dritten Tag"),
        ("de", "hundert Tage", "100 Tage"),
        ("fr", "21 jours", "vingt et un jours"),
        ("fr", "31 jours", "trente-et-un jours"),
        ("fr", "75 jours", "soixante-quinze jours"),
        ("fr", "97 jours", "quatre-vingt-dix-sept jours"),
        ("fr", "80 jours", "quatre-vingts jours"),
        ("fr", "jour 3", "le troisième jour"),
        ("es", "31 días", "treinta y un días"),
        ("es", "treinta y uno días", "31 días"),
        ("es", "26 días", "veintiséis días"),
        ("es", "día 2", "el segundo día"),
    ],
)
def test_tens_and_ordinals_are_numbers_too(language: str, answer: str, passage: str) -> None:
    asked = "?"
    assert verdict(answer, passage, passage=passage, language=language, question=asked).reason is None


@pytest.mark.parametrize(
    ("language", "answer", "passage"),
    [
        ("en", "20 days", "twenty-one days"),
        ("en", "1 days", "twenty-one days"),
        ("en", "50 days", "twenty-thirty days"),
        ("en", "the third day", "the 4th day"),
        ("en", "twenty-one days", "20 days"),
        ("de", "20 Tage", "einundzwanzig Tage"),
        ("fr", "4 jours", "quatre-vingts jours"),
        ("fr", "60 jours", "soixante-dix jours"),
        ("es", "30 días", "treinta y un días"),
    ],
)
def test_a_part_of_a_numeral_is_another_number(language: str, answer: str, passage: str) -> None:
    assert verdict(answer, passage, passage=passage, language=language).reason == "unsupported_number"


def test_the_first_is_a_word_as_well() -> None:
    passage = "The first officer sails."
    assert verdict("First.", passage, passage=passage).reason is None
    assert verdict("First.", "The officer sails.", passage="The officer sails.").reason == "unsupported"


def test_a_wrong_number_in_a_nearly_right_quote_is_found() -> None:
    quote = "The first officer inspects the lifeboats every nine weeks."
    found = verdict("The officer inspects the lifeboats every nine weeks.", quote)
    assert found.reason == "unsupported_number"
    assert found.score == 0.0


def test_the_share_of_supported_words_decides() -> None:
    quote = "The first officer inspects the lifeboats"
    # The question says officer; of inspects, lifeboats, rafts the passage has two.
    found = verdict("The officer inspects lifeboats and rafts.", quote)
    assert found == Verdict("unsupported", pytest.approx(2 / 3), span(quote))
    # Of inspects, lifeboats, weeks, rafts three: 0.75 is above 0.7.
    assert verdict("The officer inspects lifeboats, in weeks, and rafts.", quote).reason is None


def test_what_the_question_says_is_no_claim_of_the_answer() -> None:
    quote = "The first officer inspects the lifeboats"
    question = "How does the mate of the trawler check lifeboats?"
    assert verdict("The mate of the trawler inspects them.", quote, question=question).reason == "unsupported"
    assert verdict("The mate of the trawler inspects.", quote, question=question).reason is None
    # An answer that the question offers counts whole.
    offered = "Who inspects, the officer or the cook?"
    assert verdict("The officer.", quote, question=offered).reason is None
    assert verdict("The cook.", quote, question=offered) == Verdict("unsupported", 0.0, span(quote))


def test_words_may_stand_beside_the_quote_but_not_all_of_them() -> None:
    quote = "It is launched and manoeuvred in the water"
    assert verdict("The lifeboats are launched.", quote).reason is None
    assert verdict("The first rules of SOLAS apply.", quote) == Verdict("unsupported", 0.0, span(quote))


def test_an_answer_of_function_words_must_stand_there_as_it_is() -> None:
    assert verdict("It is.", "It is launched and manoeuvred").reason is None
    assert verdict("Both.", "It is launched and manoeuvred").reason == "unsupported"


def test_a_script_without_blanks_is_supported_by_its_pairs_of_characters() -> None:
    passage = "船長は四週間ごとに救命艇を点検し、その結果を航海日誌に記入する。"
    question = "何を点検しますか？"
    right = verdict("救命艇を点検する", "救命艇を点検し", passage=passage, language="ja", question=question)
    wrong = verdict("消火器を点検する", "救命艇を点検し", passage=passage, language="ja", question=question)
    assert right == Verdict(None, 1.0, (9, 16))
    assert wrong.reason == "unsupported"


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=80))
def test_no_text_breaks_it_and_every_span_is_one(answer: str, quote: str, passage: str) -> None:
    found = verdict(answer, quote, passage=passage)
    assert found.score is not None
    assert 0 <= found.score <= 1
    if found.evidence:
        start, end = found.evidence
        assert 0 <= start < end <= len(passage)
    assert found.evidence or found.reason


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"numerals": {"fr": {"et un": 1}}}, r"^filter\.evidence\.numerals\.fr: 'et un' is no single word$"),
        (
            {"numerals": {"fr": {"un": -1}}},
            r"^filter\.evidence\.numerals\.fr\.un=-1: input should be greater",
        ),
        ({"similarity": 0.2}, r"^filter\.evidence\.similarity=0\.2: input should be greater than or equal"),
    ],
)
def test_a_wrong_setting_is_one_sentence(change: dict[str, Any], fault: str) -> None:
    wrong = OmegaConf.create({"filter": {"evidence": {**CONFIG, **change}}})
    with pytest.raises(FolioError, match=fault):
        build(wrong, "filter.evidence")
