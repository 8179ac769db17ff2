import time
from typing import Any

import pytest
from omegaconf import OmegaConf

from stages.errors import FolioError
from stages.filter.standalone import Standalone
from stages.option import build
from stages.verdict import Verdict
from tests.imports import ROOT

CONFIG = OmegaConf.load(ROOT / "conf/filter/standalone.yaml")
STANDALONE: Standalone = build(OmegaConf.create({"filter": {"standalone": CONFIG}}), "filter.standalone")


def verdict(question: str, language: str = "en", kind: str = "fact") -> Verdict:
    pair: dict[str, Any] = {"chunk": {"language": language}, "question": question, "kind": kind}
    (found,) = STANDALONE([pair], None)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    "question",
    [
        "Who inspects these lifeboats?",
        "What does the passage say of lifeboats?",
        "Who inspects it every four weeks?",
        "It inspects which lifeboats, and when?",
        "What is the purpose of this plan of evacuation?",
        "How do they lower lifeboats into water?",
        "When does he inspect lifeboats on deck?",
        "What are its main purposes and limits?",
        "Which of the following is a lifeboat drill?",
        "According to the text, who inspects the lifeboats?",
        "According to the author, who inspects the lifeboats?",
        "According to the safety manual, who inspects the lifeboats?",
        "What does the author recommend for lifeboat drills?",
        "What should the reader of the document do about lifeboats?",
        "What lifeboats does Section 3.2 describe?",
        "What lifeboats are shown in Figure 4?",
        "What does Table B list about lifeboats?",
        "What lifeboats does the table list?",
        "What drills does the above list contain?",
        "Which lifeboats are described above?",
        "Which of the previously mentioned lifeboats float?",
        "Why are such drills held on lifeboats?",
        "Who operates the latter kind of lifeboat?",
    ],
)
def test_words_that_point_outside_dangle(question: str) -> None:
    assert verdict(question) == Verdict("dangling")


@pytest.mark.parametrize(
    "question",
    [
        "Who inspects the lifeboats every four weeks?",
        "What does the IT department inspect?",
        "What does a routing table hold?",
        "What does the routing table hold?",
        "How is a text message sent at sea?",
        "How long may the text message be?",
        "What follows the muster of passengers?",
        "What is done following an alarm on deck?",
        "Above what temperature does the valve open?",
        "Which drills, such as abandon ship, need lifeboats?",
        "What should those who inspect lifeboats wear?",
        "According to the SOLAS convention, who inspects lifeboats?",
        "According to NIST, what is an incident?",
        "What does section 508 demand of software?",
        "How do captains protect their lifeboats?",
        "What is the table of contents of a log?",
        "What is the passage of a bill through parliament?",
        "Which documents must the captain carry?",
        "What does the captain's authority cover?",
    ],
)
def test_words_of_the_domain_do_not_dangle(question: str) -> None:
    assert verdict(question).reason is None


@pytest.mark.parametrize(
    ("language", "bad", "good"),
    [
        ("de", "Wer prüft diese Rettungsboote?", "Wer prüft die Rettungsboote an Bord?"),
        ("de", "Was sagt der Text über Rettungsboote?", "Wie viele Rettungsboote gibt es an Bord?"),
        ("de", "Was zeigt Abbildung 3 über Boote?", "Wie meldet man Sie beim Kapitän an?"),
        ("de", "Wann prüft er die Rettungsboote?", "Welche Texte kennt der Kapitän?"),
        ("de", "Welche der folgenden Boote sind dicht?", "Was geschieht im Fall eines Brandes?"),
        ("de", "Was sagt der vorliegende Text zu Booten?", "Welche Tabelle führt der Kapitän?"),
        ("fr", "Qui inspecte ces canots de sauvetage ?", "Qui inspecte les canots de sauvetage ?"),
        ("fr", "Que dit le texte sur les canots ?", "Qu'est-ce que le canot de sauvetage ?"),
        ("fr", "Quand elle inspecte les canots ?", "Quand le capitaine doit-il inspecter les canots ?"),
        ("fr", "Que montre la figure 3 des canots ?", "Combien de canots y a-t-il à bord du navire ?"),
        ("fr", "Selon l’auteur, qui inspecte les canots ?", "Quand faut-il inspecter les canots ?"),
        (
            "fr",
            "Lequel des exercices suivants est obligatoire ?",
            "Que fait l'équipage suivant la procédure ?",
        ),
        ("es", "¿Quién revisa estos botes salvavidas?", "¿Quién revisa los botes salvavidas?"),
        ("es", "¿Qué dice el texto sobre los botes?", "¿Dónde está el bote salvavidas?"),
        ("es", "¿Qué muestra la tabla 2 de los botes?", "¿Qué costa está al este del faro?"),
        ("es", "Según el documento, ¿quién revisa los botes?", "¿Según qué norma se revisan los botes?"),
        ("es", "¿Cuál de los siguientes botes flota?", "¿Qué se hace tras la alarma de incendio?"),
    ],
)
def test_other_languages_have_words_of_their_own(language: str, bad: str, good: str) -> None:
    assert verdict(bad, language) == Verdict("dangling")
    assert verdict(good, language).reason is None


def test_a_language_without_words_lets_nothing_dangle() -> None:
    assert verdict("Chi ispeziona queste scialuppe?", "it").reason is None
    assert verdict("Who inspects these lifeboats?", "it").reason is None


@pytest.mark.parametrize(
    ("question", "kind", "expected"),
    [
        ("What is a lifeboat?", "fact", Verdict("vague", 1.0)),
        ("What is a lifeboat?", "definition", Verdict(None, 1.0)),
        ("What is the one?", "definition", Verdict("vague", 0.0)),
        ("What is a lifeboat drill?", "fact", Verdict(None, 2.0)),
        ("What should be done?", "reason", Verdict("vague", 1.0)),
    ],
)
def test_a_question_of_few_words_is_vague(question: str, kind: str, expected: Verdict) -> None:
    assert verdict(question, kind=kind) == expected


def test_words_without_blanks_are_counted_too() -> None:
    assert verdict("これは何ですか？", "ja").reason == "vague"
    assert verdict("救命艇は誰が点検しますか？", "ja").reason is None


@pytest.mark.parametrize("bad", ["(this", "this*?|", "x*"])
def test_a_bad_expression_is_one_sentence(bad: str) -> None:
    wrong = OmegaConf.create({"filter": {"standalone": {**CONFIG, "pointing": {"en": [bad]}}}})
    with pytest.raises(FolioError, match=r"^filter\.standalone\.pointing\.en: "):
        build(wrong, "filter.standalone")


def test_a_long_question_takes_no_time() -> None:
    start = time.perf_counter()
    for part in ("the ", "according to the ", "such ", "what is ", "section ", "a"):
        verdict(part * 100_000 + "?")
    assert time.perf_counter() - start < 10
