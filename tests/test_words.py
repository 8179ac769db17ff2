import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.words import WORD, content_words, count, patterns, plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # Five letters make a stem: inspects, inspection -> inspe.
        ("Who inspects it, and the inspection?", {"inspe"}),
        ("valve Valves VALVE", {"valve"}),
        ("week weeks", {"week"}),
        ("re-entry: 3.5 m_2", {"re-en", "3", "5", "m", "2"}),
        ("What is it?", set()),
        # What holds a digit is no stem of anything.
        ("800171 800172 SP800-61r2", {"800171", "800172", "sp800-61r2"}),
        ("file(s)", {"file", "s"}),
        # As one reads them: ligature, soft hyphen, full width.
        ("the ﬁnal life\xadboat ＩＰ", {"final", "lifeb", "ip"}),
    ],
)
def test_content_words_of_english(text: str, words: set[str]) -> None:
    assert content_words(text, "en") == words


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("Wer prüft die Rettungsboote und warum?", "de", {"prüft", "rettu"}),
        ("Pru\u0308fung, AUSSERDEM außerdem", "de", {"prüfu"}),
        ("Qu’est-ce que l'eau de l’évier ?", "fr", {"eau", "évier"}),
        ("La pressione dell'acqua", "it", {"pre", "acqua"}),
        (
            "Les canots sont-ils testés ? Y a-t-il, doit-elle rester",
            "fr",
            {"canot", "testé", "reste"},
        ),
        ("le porte-voix, le rez-de-chaussée", "fr", {"porte", "rez-d"}),
        ("¿Quién revisa los botes?", "es", {"revi", "bote"}),
        ("Кто проверяет шлюпки?", "ru", {"прове", "шлюпк"}),
        # Marks belong to their letters.
        ("जीवन नौका का निरीक्षण", "hi", {"जीवन", "नौका", "निरीक्षण"[:5]}),
        ("who is it", "xx", {"who", "i", "it"}),  # no list for it: all words count
    ],
)
def test_content_words_of_other_languages(text: str, language: str, words: set[str]) -> None:
    assert content_words(text, language) == words


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("救命艇は誰が点検しますか？", "ja", {"救命", "命艇", "誰", "点検"}),  # hiragana is grammar
        ("パターン", "ja", {"パタ", "ター", "ーン"}),
        ("谁检查IDPS？", "zh", {"谁检", "检查", "idp"}),
        ("เรือ", "th", {"เร", "รื", "ือ"}),
        ("구명정을 점검", "ko", {"구명", "명정", "정을", "점검"}),
        ("什么", "zh", set()),  # in the list
        # The script decides, whatever the language of the document.
        ("The 救命艇", "en", {"救命", "命艇"}),
    ],
)
def test_pairs_of_characters_where_words_have_no_blanks(text: str, language: str, words: set[str]) -> None:
    assert content_words(text, language) == words


def test_the_overlap_of_two_japanese_sentences_means_something() -> None:
    passage = content_words("船長は四週間ごとに救命艇を点検し、その結果を航海日誌に記入する。", "ja")
    right, wrong = (
        content_words(text, "ja") for text in ("船長が救命艇を点検する", "料理人が夕食を準備する")
    )
    assert right <= passage
    assert not wrong & passage


@given(st.text(), st.sampled_from(["en", "de", "fr", "ja", "zh", "th", "xx"]))
def test_no_text_breaks_it_and_no_word_is_empty(text: str, language: str) -> None:
    assert "" not in content_words(text, language)
    assert count(text) >= 0


@given(st.text(alphabet="abcXYZ é3-' ", max_size=40))
def test_case_does_not_matter(text: str) -> None:
    assert content_words(text.upper(), "de") == content_words(text, "de")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Who inspects the lifeboats?", 4),
        ("Qui inspecte les canots ?", 4),  # a mark alone is no word
        ("3.5 % of U.S. re-entries", 4),
        ("- a | b", 2),
        ("救命艇は誰が点検しますか？", 6),  # 12 characters
        ("谁检查救生艇？", 3),
        ("谁检查 IDPS 系统？", 2 + 1 + 1),
        ("ใครตรวจสอบเรือชูชีพ?", 5),  # 19 of 4
        ("जीवन नौका", 2),
        ("", 0),
        (" ?! ", 0),
    ],
)
def test_count(text: str, words: int) -> None:
    assert count(text) == words


def test_plain_is_folded_and_composed() -> None:
    assert plain("GRO\u0308ẞE ﬁ\xad２") == "grössefi2".replace("fi", " fi")


def test_a_pattern_finds_whole_words_in_either_case() -> None:
    found = patterns("key", {"en": ["wh(?:o|at)", "in which"], "es": ["qué"]})
    assert set(found) == {"en", "es"}
    assert found["en"].match("WHAT is")
    assert not found["en"].match("whatever is")
    assert found["en"].search("say in which year")
    assert not found["en"].search("somewhat")
    assert found["es"].match("QUÉ es")
    assert patterns("key", {"en": []}) == {}


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("(who", r"filter\.x\.en: '\(who' is no regular expression: missing \), unterminated subpattern"),
        ("w*", r"filter\.x\.en: 'w\*' fits an empty text; make it name a word"),
        ("a" * 2001, r"filter\.x\.en: 'a{57}\.\.\.' has more than 2000 characters; split it"),
        ("(?i)what", r"filter\.x\.en: '\(\?i\)what' is no regular expression: global flags not at the start"),
        ("(?P<a>b)|c)(d", r"filter\.x\.en: '\(\?P<a>b\)\|c\)\(d' is no regular expression: unbalanced"),
        ("a{9999999999}", r"filter\.x\.en: .* is no regular expression"),
    ],
)
def test_a_bad_pattern_is_named(part: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{fault}"):
        patterns("filter.x", {"en": ["who", part]})


def test_too_many_patterns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^key\.en has 201 expressions; 200 are the most$"):
        patterns("key", {"en": ["a"] * 201})


def test_expressions_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^key\.en: its expressions do not go into one list: ") as caught:
        patterns("key", {"en": ["(?P<a>who)", "(?P<a>what)"]})
    assert "redefinition of group name 'a'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("letter", ["क", "ن", "מ", "é", "က", "\u0300"])
def test_a_long_word_that_fits_nothing_takes_no_time(letter: str) -> None:
    begun = time.perf_counter()
    assert not WORD.fullmatch(letter * 5000 + "!")
    assert WORD.fullmatch(letter * 5000)
    assert time.perf_counter() - begun < 0.5
