from typing import Any

import pytest
from omegaconf import OmegaConf

from stages.errors import FolioError
from stages.filter.form import Form
from stages.option import build
from stages.verdict import Verdict
from tests.imports import ROOT

CONFIG = OmegaConf.load(ROOT / "conf/filter/form.yaml")
FORM: Form = build(OmegaConf.create({"filter": {"form": CONFIG}}), "filter.form")


def verdict(question: str, language: str = "en", answer: str = "The captain.") -> Verdict:
    pair: dict[str, Any] = {"chunk": {"language": language}, "question": question, "answer": answer}
    (found,) = FORM([pair], None)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "Who inspects the lifeboats?"),
        ("en", "what's the purpose of the plan?"),
        ("en", "HOW OFTEN ARE DRILLS HELD?"),
        ("en", "In which year was the law passed?"),
        ("en", "At what temperature does the valve open?"),
        ("en", "To whom does the captain report?"),
        ("en", "Up to how many boats fit?"),
        ("en", "During a drill, who closes the doors?"),
        ("en", "If the alarm fails, what must the crew do?"),
        ("en", "Along with the log, what must the crew keep?"),
        ("en", "Besides whom does the captain inform the owner?"),
        ("en", "What does “abandon ship” mean?"),
        ("en", 'What is called a "muster list"?'),
        ("en", 'What does a 5" hose weigh?'),
        ("en", "What is C++ used for?"),
        ("en", "What does the 2 * 3 rule say?"),
        ("de", "Wer prüft die Rettungsboote?"),
        ("de", "Welches Ventil öffnet sich zuerst?"),
        ("de", "Worin besteht der Zweck der Übung?"),
        ("de", "Bei welcher Temperatur öffnet das Ventil?"),
        ("de", "Fu\u0308r wen gilt die Regel?"),
        ("de", "Wenn der Alarm ausfällt, was muss die Mannschaft tun?"),
        ("de", "Bevor das Schiff ablegt, wer prüft die Rettungsboote?"),
        ("de", "Zum Schutz welcher Daten dient die Firewall?"),
        ("de", "Im Rahmen welcher Prüfung wird das Ventil geöffnet?"),
        ("de", "Innerhalb welcher Frist wird der Vorfall gemeldet?"),
        ("fr", "Qui inspecte les canots de sauvetage ?"),
        ("fr", "Aux termes de quelle loi les canots sont-ils inspectés ?"),
        ("fr", "À l’aide de quoi les canots sont-ils mis à l'eau ?"),
        ("fr", "Au cours duquel des exercices l'alarme sonne-t-elle ?"),
        ("fr", "Lorsque l'alarme sonne, que doit faire l'équipage ?"),
        ("es", "Antes de un viaje, ¿qué debe comprobar el capitán?"),
        ("fr", "Qu’est-ce qu’un canot ?"),
        ("fr", "À quelle fréquence les exercices ont-ils lieu ?"),
        ("fr", "En cas d'incendie, que doit faire l'équipage ?"),
        ("es", "¿Quién revisa los botes salvavidas?"),
        ("es", "¿En qué año se aprobó la ley?"),
        ("es", "¿Cuántas veces se repite el simulacro?"),
        ("ja", "救命艇は誰が点検しますか？"),
        ("ja", "救命艇は誰が点検しますか。"),
        ("zh", "谁检查救生艇？"),
        ("ar", "من يفحص قوارب النجاة؟"),
        ("el", "Ποιος ελέγχει τις σωσίβιες λέμβους;"),
        ("el", "Ποιος ελέγχει τις σωσίβιες λέμβους\u037e"),
        ("hi", "जीवन नौकाओं का निरीक्षण कौन करता है?"),
        ("it", "Chi ispeziona le scialuppe di salvataggio?"),
    ],
)
def test_a_question_of_good_form_stands(language: str, question: str) -> None:
    assert verdict(question, language) == Verdict()


@pytest.mark.parametrize(
    "question",
    [
        "",
        "?",
        "Who inspects the lifeboats",
        "Who inspects the lifeboats.",
        "Who inspects the lifeboats;",  # a question mark in Greek alone
        "Whoever inspects the lifeboats?",
        "Inspects the captain the lifeboats?",
        "Is the captain responsible?",
        "Does the captain inspect the lifeboats?",
        "Can lifeboats sink?",
        "Name the officer who inspects the lifeboats?",
        "Who inspects\nthe lifeboats?",
        "Who inspects\r\nthe lifeboats?",
        "Who inspects the lifeboats?\n",
        "Who inspects\u2028the lifeboats?",
        "Who inspects\x00 the lifeboats?",
        "Who inspects\x1b[31m the lifeboats?",
        "Who inspects \ud83d the lifeboats?",
        "Who inspects \u202ethe lifeboats?",
        "Who inspects the life\ufffdboats?",
        "Q: Who inspects the lifeboats?",
        "Q1. Who inspects the lifeboats?",
        "Question 2: Who inspects the lifeboats?",
        "1. Who inspects the lifeboats?",
        "(2) Who inspects the lifeboats?",
        "- Who inspects the lifeboats?",
        "**Who inspects the lifeboats?**",
        "Who inspects the **lifeboats**?",
        "Who inspects the lifeboats? Answer: the captain?",
        "Who inspects the lifeboats?</s>",
        "Who inspects <|im_end|> lifeboats?",
        '"Who inspects the lifeboats?',
        '"Who inspects the lifeboats?"',
        "“Who inspects the lifeboats?",
        'Who inspects the lifeboats"?',
    ],
)
def test_what_is_no_clean_question_is_malformed(question: str) -> None:
    assert verdict(question) == Verdict("malformed")


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("de", "Prüft der Kapitän die Rettungsboote?"),
        ("de", "Wenn der Alarm ausfällt, muss die Mannschaft handeln?"),
        ("de", "Zum Schutz der Daten dient die Firewall?"),
        ("fr", "Aux termes de la loi, les canots sont-ils inspectés ?"),
        ("de", "Frage: Wer prüft die Rettungsboote?"),
        ("fr", "Est-ce que le capitaine inspecte les canots ?"),
        ("es", "¿El capitán revisa los botes?"),
        ("it", "1. Chi ispeziona le scialuppe?"),
        ("zh", "问题：谁检查救生艇？"),
        ("zh", "谁检查救生艇。"),
        ("el", "Ποιος ελέγχει τις λέμβους."),
    ],
)
def test_malformed_in_other_languages(language: str, question: str) -> None:
    assert verdict(question, language) == Verdict("malformed")


@pytest.mark.parametrize(
    "answer", ["", " \n", "...", "—", '""', "The cap\x00tain.", "\ud83d", "<|im_end|>", "Answer: the captain"]
)
def test_an_empty_or_broken_answer_is_malformed(answer: str) -> None:
    assert verdict("Who inspects the lifeboats?", answer=answer) == Verdict("malformed")


@pytest.mark.parametrize("answer", ["4", "%", "first\nsecond", "船長"])
def test_an_answer_may_be_short_and_may_have_lines(answer: str) -> None:
    assert verdict("Who inspects the lifeboats?", answer=answer) == Verdict()


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("de", "What is the purpose of the incident response plan?"),
        ("zh", "What is the purpose of the incident response plan?"),
        ("it", "Quel est le but du plan de réponse aux incidents ?"),
        ("ja", "船长每四周检查一次救生艇的目的是什么？"),
    ],
)
def test_a_question_in_another_language_is_dropped(language: str, question: str) -> None:
    # A list of openings would find fault first: German has none for "What".
    free = {
        "_target_": CONFIG._target_,
        "name": "form",
        "certainty": 0.75,
        "letter_bytes": 20,
        "openings": {},
    }
    form = build(OmegaConf.create({"f": free}), "f")
    (found,) = form([{"chunk": {"language": language}, "question": question, "answer": "x"}], None)
    assert found.reason == "other_language"
    assert found.score is not None
    assert 0.75 <= found.score <= 1


@pytest.mark.parametrize(
    "question",
    [
        "What is Schadenfreude?",
        "What is the Bundesverfassungsgericht?",
        "What do CSIRT, ISAC, and US-CERT teams publish?",
        "What does the term 'force majeure' mean in a contrat de bail?",
    ],
)
def test_a_foreign_word_makes_no_foreign_question(question: str) -> None:
    assert verdict(question) == Verdict()


def test_too_few_letters_say_nothing_of_the_language() -> None:
    assert verdict("Wer?", "it") == Verdict()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"openings": {"en": ["(who"]}}, r"^filter\.form\.openings\.en: '\(who' is no regular expression"),
        ({"certainty": 1.1}, r"^filter\.form\.certainty=1\.1: input should be less than or equal to 1$"),
        ({"opening": {}}, r"^filter\.form\.opening is not a setting; did you mean openings\?$"),
    ],
)
def test_a_wrong_setting_is_one_sentence(change: dict[str, Any], fault: str) -> None:
    wrong = OmegaConf.create({"filter": {"form": {**CONFIG, **change}}})
    with pytest.raises(FolioError, match=fault):
        build(wrong, "filter.form")


def test_a_hostile_question_takes_no_time() -> None:
    import time

    start = time.perf_counter()
    for part in ("in ", "what, ", '"', "* ", "1. ", "a," * 5):
        verdict(part * 100_000 + "?")
        verdict("If " + part * 100_000 + "what?")
    assert time.perf_counter() - start < 10
