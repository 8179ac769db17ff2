import re
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from stages.errors import FolioError
from stages.filter.fit import Fit, in_order, nothing_asked
from stages.kinds import kind_of
from stages.option import build
from stages.verdict import Verdict
from tests.imports import ROOT

CONFIG = OmegaConf.load(ROOT / "conf/filter/fit.yaml")
BOATS = "The captain inspects the lifeboats every four weeks and enters the result in the log."
BORROWING = "What should the team avoid borrowing items?"
DRILL = "Before a drill, the crew must test the alarm because a silent alarm helps nobody."


def option(**changes: Any) -> Fit:
    made: Fit = build(OmegaConf.create({"filter": {"fit": {**CONFIG, **changes}}}), "filter.fit")
    return made


FIT = option()


def pair(question: str, source: str = BOATS, **changes: Any) -> dict[str, Any]:
    """A pair whose answer is the whole of its evidence, unless told otherwise."""
    text = f"Ships are old. {source} Nobody knows why."
    chunk = {"document": "ship.pdf", "headings": ["2 Safety drills"], "text": text, "language": "en"}
    place = {"answer": source, "evidence": [15, 15 + len(source)]}
    return {"chunk": chunk | changes.pop("chunk", {}), "question": question} | place | changes


def verdict(option: Fit, asked: dict[str, Any]) -> Verdict:
    (found,) = option([asked], None)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("Who inspects the lifeboats every four weeks?", BOATS),
        ("What does the captain enter in the log?", "The captain must enter the result in the log."),
        (
            "Who inspects the lifeboats in safety drills?",
            "The captain inspects the lifeboats in safety drills.",
        ),
        ("What kinds of boats should a ferry hold?", "A ferry should hold three kinds of boats."),
        ("How often must a boat be inspected?", "A boat must be inspected every four weeks."),
        ("How many lifeboats does a ferry hold?", "A ferry holds twelve lifeboats."),
        ("Why must the crew test the alarm?", DRILL),
        ("What must the crew do before a drill?", DRILL),
        ("What must the crew test before a drill?", DRILL),
        ("Before a drill, what must the crew test?", DRILL),
        ("When must the crew test the alarm?", "The crew must test the alarm before a drill."),
        ("What is a firewall?", "A firewall is a device that controls traffic between two networks."),
        ('What does "Ballast" mean?', "Ballast: Heavy material that is placed low in a vessel."),
        ("What does containment mean?", "Containment (in the log) means that a leak is stopped."),
        ("What does CSIRT stand for?", "CSIRT | Computer Security Incident Response Team"),
        ("What should be tested before a drill?", "The alarm should also be tested before a drill."),
        ("Who should have good hands?", "Every team member should also have good hands."),
    ],
)
def test_a_question_that_its_sentence_answers_stands(question: str, source: str) -> None:
    assert verdict(FIT, pair(question, source)) == Verdict()


@pytest.mark.parametrize(
    ("reason", "question", "source"),
    [
        ("foreign_words", "Who repairs the lifeboats?", BOATS),
        ("off_topic", "What happens in safety drills?", BOATS),
        ("other_order", "What does the log enter in the result?", BOATS),
        ("other_order", "What do the lifeboats inspect?", BOATS),
        (
            "other_order",
            "What does the worm infect the host?",
            "When the worm infects a host, it calls an agent.",
        ),
        ("echoes_answer", f"Who is it that {BOATS[:-1]}?".replace("is it that ", ""), BOATS),
        (
            "wrong_opening",
            "Why does the captain enter the result?",
            "The captain must enter the result in ink.",
        ),
        ("wrong_opening", "How many lifeboats does a ferry hold?", "A ferry holds lifeboats of wood."),
        ("wrong_opening", "What does ISAC mean?", "Several ISACs are formed for the industry."),
        ("wrong_opening", "What is an alarm?", "The crew tests an alarm."),
        ("wrong_opening", "What does IDPS stand for?", "IDPS | These products find events; they log them."),
        (
            "nothing_asked",
            "What must the crew test the alarm for drills?",
            "The crew must test the alarm for drills before noon.",
        ),
        ("nothing_asked", BORROWING, "The team should avoid borrowing items from others."),
        ("nothing_asked", BORROWING, "The team should avoid borrowing items."),
    ],
)
def test_a_question_that_does_not_fit_falls_for_its_reason(reason: str, question: str, source: str) -> None:
    # What repeats the whole sentence also asks nothing: then a word of the answer must be left.
    told = pair(question, source)
    found = verdict(option(untold_words=0), told) if reason == "nothing_asked" else verdict(FIT, told)
    assert found.reason == reason


def test_the_parameters_above_cover_every_reason() -> None:
    (mark,) = test_a_question_that_does_not_fit_falls_for_its_reason.pytestmark  # type: ignore[attr-defined]
    named = (Fit.__doc__ or "").splitlines()[0].rstrip(".").replace("`", "").split(", ")
    assert {reason for reason, *_ in mark.args[1]} == set(named)


def test_the_figure_that_decided_is_the_score() -> None:
    assert verdict(FIT, pair("Who quickly repairs the lifeboats?")) == Verdict("foreign_words", 2.0)
    # [the lifeb inspe]: the sentence has "the lifeb" in this order, and "inspe" before it.
    assert verdict(FIT, pair("What do the lifeboats inspect?")) == Verdict("other_order", 0.6667)
    assert verdict(FIT, pair(BOATS[:-1].replace("The captain", "Who") + "?", BOATS)) == Verdict()
    assert verdict(option(untold_words=2), pair(BOATS[:-1].replace("The captain", "Who") + "?")) == Verdict(
        "echoes_answer", 1.0
    )


def test_a_heading_that_is_the_question_stands_whatever_its_words() -> None:
    asked = pair("Why would anybody go to sea?")
    asked["chunk"] |= {"headings": ["Questions", "3. Why would anybody go to sea?"]}
    assert verdict(option(), asked).reason is None
    asked["chunk"] |= {"headings": ["3. Who would go to sea?"]}
    assert verdict(option(), asked).reason == "foreign_words"


def test_foreign_words_may_be_allowed() -> None:
    strange = pair("Who quickly repairs the lifeboats?")
    assert verdict(option(foreign_words=1, order=0), strange).reason == "foreign_words"
    assert verdict(option(foreign_words=2, order=0), strange) == Verdict()


def test_order_may_be_free() -> None:
    assert verdict(option(order=0), pair("What does the log enter in the result?")) == Verdict()


def test_a_phrase_is_measured_with_the_sentence_that_it_rests_on() -> None:
    phrase = pair("How often does the captain inspect the lifeboats?", answer="Every four weeks")
    assert verdict(FIT, phrase) == Verdict()
    own_words = phrase | {"answer": "Each month"}
    assert verdict(FIT, own_words) == Verdict()
    # The answer's own words are the question's.
    echo = phrase | {"question": "Who inspects the lifeboats every four weeks?"}
    assert verdict(FIT, echo).reason == "echoes_answer"


def test_without_evidence_the_answer_alone_counts() -> None:
    assert verdict(FIT, pair("Who inspects the lifeboats every four weeks?", evidence=None)) == Verdict()


def test_an_answer_without_words_of_content_echoes_nothing() -> None:
    assert verdict(FIT, pair("Who inspects the lifeboats?", answer="It is so.")) == Verdict()


@pytest.mark.parametrize(
    ("question", "source", "share"),
    [
        ("Who inspects the lifeboats?", BOATS, 1.0),
        ("What must the crew test?", DRILL, 1.0),
        # [the crew test befor a drill] of [the crew must test the alarm ... befor a drill], a clause turned.
        ("What must the crew test before a drill?", DRILL, 1.0),
        ("What do lifeboats inspect?", "Captains inspect lifeboats.", 1 / 2),
        ("Who sails?", "Nothing stands here.", 0.0),
        ("Who?", BOATS, 1.0),
        ("", BOATS, 1.0),
        ("Who sails?", "", 0.0),
    ],
)
def test_the_order_worked_out_by_hand(question: str, source: str, share: float) -> None:
    assert in_order(question, source) == pytest.approx(share)


@pytest.mark.parametrize(
    ("question", "source", "nothing"),
    [
        (BORROWING, "The team should avoid borrowing items from others.", True),
        (BORROWING, "The team should avoid borrowing items.", True),
        (BORROWING, "The team should also avoid borrowing items, and buy them.", True),
        ("What should the team avoid?", "The team should avoid borrowing items.", False),
        ("What should the team look for?", "The team should look for leaks.", False),
        ("Who should avoid borrowing items?", "The team should avoid borrowing items.", False),
        ("Who should avoid borrowing items?", "The team should therefore avoid borrowing items.", False),
        ("What should the crew do?", "The team should avoid borrowing items.", False),
        ("Why should the team avoid borrowing items?", "The team should avoid borrowing items.", False),
        ("What should ?", "The team should.", False),
        ("", "", False),
    ],
)  # fmt: skip
def test_whether_anything_is_asked(question: str, source: str, nothing: bool) -> None:
    assert nothing_asked(question, source) is nothing


EXAMPLES = re.compile(r"^Topic: (.+)\nSentence: (.+)\nQuestion: (.+)$", re.MULTILINE)
WORKED = [
    (str(language), *example)
    for language, text in OmegaConf.load(ROOT / "conf/prompt/question.yaml").items()
    for example in EXAMPLES.findall(text)
]


@pytest.mark.parametrize(("language", "heading", "sentence", "question"), WORKED)
def test_the_worked_examples_of_the_local_generator_stand(
    language: str, heading: str, sentence: str, question: str
) -> None:
    chunk = {"document": "a.pdf", "headings": [heading], "text": sentence, "language": language}
    place = {"answer": sentence, "quote": sentence, "evidence": [0, len(sentence)]}
    asked = {"chunk": chunk, "question": question, "kind": kind_of(question, language)} | place
    for name in ("form", "length", "evidence", "standalone", "fit"):
        option = build(
            OmegaConf.create({"filter": {name: OmegaConf.load(ROOT / f"conf/filter/{name}.yaml")}}),
            f"filter.{name}",
        )
        (found,) = option([asked], None)
        assert found.reason is None, name


def test_every_language_has_worked_examples() -> None:
    assert Counter(language for language, *_ in WORKED) == {"en": 5, "de": 4, "fr": 4, "es": 4}


@pytest.mark.parametrize(
    ("language", "question", "source"),
    [
        (
            "fr",
            "Pourquoi les canots sont-ils testés chaque mois ?",
            "Les canots sont testés chaque mois par prudence.",
        ),
        (
            "fr",
            "Quand le capitaine doit-il tester les canots ?",
            "Le capitaine doit tester les canots en mai.",
        ),
        ("fr", "Qu'est-ce que le ballast ?", "Le ballast est une matière lourde."),
        ("fr", "Combien de fois l'équipage teste-t-il l'alarme ?", "L'équipage teste l'alarme deux fois."),
        ("fr", "À quelle fréquence l'alarme est-elle testée ?", "L'alarme est testée chaque semaine."),
        ("de", "Wie viele Boote hat die Fähre?", "Die Fähre hat zwölf Boote."),
        ("de", "Wie oft prüft der Kapitän die Boote?", "Der Kapitän prüft die Boote im Mai."),
        ("de", "Wer führt die Übung durch?", "Die Übung wird vom Kapitän durchgeführt."),
        ("de", "Was bedeutet Ballast?", "Ballast ist schweres Material."),
        ("es", "¿Cuántos botes lleva el barco?", "El barco lleva doce botes."),
        ("es", "¿Con qué frecuencia se prueba la alarma?", "La alarma se prueba cada semana."),
        ("es", "¿Qué significa lastre?", "El lastre es un material pesado."),
    ],
)
def test_other_languages_ask_in_their_own_way(language: str, question: str, source: str) -> None:
    assert verdict(FIT, pair(question, source, chunk={"language": language})) == Verdict()


@pytest.mark.parametrize(
    ("language", "question", "source"),
    [
        ("fr", "Pourquoi les canots sont-ils peints ?", "Les canots sont testés chaque mois."),
        ("de", "Wer lackiert die Boote?", "Die Boote werden vom Kapitän geprüft."),
        ("es", "¿Quién pinta los botes?", "El capitán revisa los botes."),
    ],
)
def test_foreign_words_of_other_languages(language: str, question: str, source: str) -> None:
    asked = pair(question, source, chunk={"language": language})
    assert verdict(FIT, asked) == Verdict("foreign_words", 1.0)


def test_order_counts_in_english_alone() -> None:
    asked, told = "Wann prüft der Kapitän die Boote?", "Im Mai werden die Boote vom Kapitän geprüft."
    assert in_order(asked, told) < FIT.order
    assert verdict(FIT, pair(asked, told, chunk={"language": "de"})) == Verdict()


@pytest.mark.parametrize(
    ("question", "share"),
    [
        ("Who inspects the lifeboats?", 1.0),
        ("Who must inspect the lifeboats?", 1.0),
        ("Who inspects the lifeboats, and how often?", 1.0),
        # [the offic inspe]: the agent stands behind the verb, and only "Who" may ask for it.
        ("What does the officer inspect?", 2 / 3),
    ],
)
def test_a_passive_may_become_active(question: str, share: float) -> None:
    told = "The lifeboats must be inspected by the officer every four weeks, and the result is logged."
    assert in_order(question, told) == pytest.approx(share)


def test_the_first_opening_that_fits_decides() -> None:
    first = {"en": [["how many", r"\d"], ["how", "by hand"]]}
    made = option(openings=first)
    by_hand = "A ferry holds lifeboats by hand."
    assert verdict(made, pair("How many lifeboats does a ferry hold?", by_hand)).reason == "wrong_opening"
    assert verdict(made, pair("How does a ferry hold lifeboats?", by_hand)) == Verdict()


def test_what_the_brackets_held_is_taken_as_it_stands() -> None:
    made = option(openings={"en": [[r"what is (.+)\?", "{0} means"]]})
    assert verdict(made, pair("What is a b?", "a b means the letters.")) == Verdict()
    # A dot is a dot.
    dotted = "A node of x.y and xzy means the net."
    assert verdict(made, pair("What is x.y?", dotted)).reason == "wrong_opening"
    empty = option(openings={"en": [[r"what is( a)? node", "{0} ?means"]]})
    assert verdict(empty, pair("What is node?", "node means a host.")) == Verdict()


def test_openings_are_of_a_language() -> None:
    german = {"language": "de"}
    asked = pair("Warum prüft der Kapitän die Boote?", "Der Kapitän prüft die Boote.", chunk=german)
    assert verdict(option(untold_words=0), asked) == Verdict()
    openings = {"de": [["warum", "weil|da"]]}
    assert verdict(option(untold_words=0, openings=openings), asked).reason == "wrong_opening"


def test_decomposed_letters_are_the_same_letters() -> None:
    made = option(openings={"de": [["für wen", "prüft"]]}, untold_words=0)
    asked = pair(
        "Fu\u0308r wen pru\u0308ft der Kapitän?", "Für wen pru\u0308ft der Kapitän.", chunk={"language": "de"}
    )
    assert verdict(made, asked) == Verdict()


def test_what_is_too_long_to_be_searched_whole_is_not_found_wanting() -> None:
    made = option(openings={"en": [["who", "nowhere"]]})
    long = BOATS[:-1] + " now" * 600 + "."
    assert verdict(made, pair("Who inspects the lifeboats every four weeks?")).reason == "wrong_opening"
    assert verdict(made, pair("Who inspects the lifeboats every four weeks?", long)) == Verdict()


@pytest.mark.parametrize(
    ("openings", "fault"),
    [
        ({"en": [["(who", "x"]]}, r"^filter\.fit\.openings\.en: '\(who' is no regular expression"),
        ({"en": [["who", "x("]]}, r"^filter\.fit\.openings\.en: 'x\(' is no regular expression"),
        ({"en": [["who", "x(?i)"]]}, r"^filter\.fit\.openings\.en: 'x\(\?i\)' is no regular expression"),
        ({"en": [["who", "(?i)x"]]}, r"^filter\.fit\.openings\.en: '\(\?i\)x' is no regular expression"),
        ({"en": [["w*", "x"]]}, r"^filter\.fit\.openings\.en: 'w\*' fits an empty text"),
        ({"en": [["who", "x?"]]}, r"^filter\.fit\.openings\.en: 'x\?' fits an empty text"),
        ({"en": [["who", "{0} is"]]}, r"^filter\.fit\.openings\.en: \{0\} needs one pair of brackets"),
        ({"en": [["(w)(ho)", "{0} is"]]}, r"^filter\.fit\.openings\.en: \{0\} needs one pair of brackets"),
        ({"en": [["who"]]}, r"^filter\.fit\.openings\.en\.0"),
        ({"en": [["who", "x", "y"]]}, r"^filter\.fit\.openings\.en\.0"),
        ({"en": ["who"]}, r"^filter\.fit\.openings\.en\.0"),
        ({"en": [["who", 5]]}, r"^filter\.fit\.openings\.en\.0\.1=5: input should be a valid string$"),
    ],
)  # fmt: skip
def test_a_wrong_opening_is_one_sentence(openings: dict[str, Any], fault: str) -> None:
    with pytest.raises(FolioError, match=fault) as caught:
        option(openings=openings)
    assert "\n" not in str(caught.value)


def test_a_wrong_setting_is_one_sentence() -> None:
    with pytest.raises(
        FolioError, match=r"^filter\.fit\.order=1\.1: input should be less than or equal to 1$"
    ):
        option(order=1.1)
    with pytest.raises(
        FolioError, match=r"^filter\.fit\.foreign is not a setting; did you mean foreign_words\?$"
    ):
        option(foreign=1)


@hypothesis_settings(derandomize=True, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(["en", "de", "zh", "xx"]))
def test_whatever_comes_has_a_verdict_and_the_same_one_again(
    question: str, source: str, language: str
) -> None:
    asked = pair(question, source, chunk={"language": language})
    found = verdict(FIT, asked)
    assert verdict(FIT, asked) == found
    assert 0 <= in_order(question, source) <= 1


@pytest.mark.parametrize(
    "part", ["what is ", "(", "a-", "should ", "how many, what ", "\u0301", "船", "(a (a "]
)
def test_a_hostile_question_takes_no_time(part: str) -> None:
    start = time.perf_counter()
    for question in (
        part * 20_000 + "?",
        "What is " + part * 20_000 + "?",
        "What should " + part * 400 + "?",
    ):
        option(foreign_words=10**6, order=0.0, untold_words=0)([pair(question, part * 20_000)], None)  # type: ignore[arg-type]
    assert time.perf_counter() - start < 5
