import time

import pytest

from stages.kinds import FORMS, kind_of


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many pumps are there?", "number"),
        ("How often are pumps cleaned?", "number"),
        ("How are pumps cleaned?", "reason"),
        ("Why are pumps cleaned?", "reason"),
        ("What is a pump?", "definition"),
        ('What does "Ballast" mean?', "definition"),
        ("Which steps should the team take?", "list"),
        ("What does the team do with the old pump in the hold?", "fact"),
        ("Who cleans the pump?", "fact"),
        ("How quickly are pumps cleaned?", "number"),
        ("How fast does a pump turn?", "number"),
        ("How frequently are pumps cleaned?", "number"),
        ("How soon does a pump fail?", "number"),
        ("How big is a pump?", "number"),
        ("How wide is a pump?", "number"),
        ("What are the costs of a boat?", "fact"),
        ("What is the purpose of a boat?", "fact"),
        ("What is the definition of a boat?", "definition"),
        ("What is a chain of custody?", "definition"),
        ("What is the bilge?", "definition"),
    ],
)
def test_the_kind_of_a_written_question_is_known_by_its_opening(question: str, expected: str) -> None:
    assert kind_of(question, "en") == expected
    assert kind_of(question, "it") == "fact"


@pytest.mark.parametrize(
    ("language", "question", "expected"),
    [
        ("de", "Wie viele Pumpen gibt es?", "number"),
        ("de", "Wie oft werden Pumpen gereinigt?", "number"),
        ("de", "Wie werden Pumpen gereinigt?", "reason"),
        ("de", "Wie heißt das Schiff?", "fact"),
        ("de", "Weshalb werden Pumpen gereinigt?", "reason"),
        ("de", "Was ist eine Firewall?", "definition"),
        ("de", "Was bedeutet „Ballast“?", "definition"),
        ("de", "Was versteht man unter Ballast?", "definition"),
        ("de", "Was sind die Kosten eines Bootes?", "fact"),
        ("de", "Was ist vor einer Reise zu prüfen?", "fact"),
        ("de", "Welche Schritte müssen folgen?", "list"),
        ("de", "Welcher Schritt muss folgen?", "fact"),
        ("fr", "Combien de pompes y a-t-il ?", "number"),
        ("fr", "À quelle fréquence les pompes sont-elles nettoyées ?", "number"),
        ("fr", "Pourquoi les pompes sont-elles nettoyées ?", "reason"),
        ("fr", "Comment les pompes sont-elles nettoyées ?", "reason"),
        ("fr", "Comment s’appelle le navire ?", "fact"),
        ("fr", "Qu'est-ce qu'un pare-feu ?", "definition"),
        ("fr", "Qu’est-ce que l’hameçonnage\u202f?", "definition"),
        ("fr", "Que signifie « ballast » ?", "definition"),
        ("fr", "Qu'est-ce que le capitaine doit vérifier ?", "fact"),
        ("fr", "Quels documents doivent rester à bord ?", "list"),
        ("es", "¿Cuántas bombas hay?", "number"),
        ("es", "¿Con qué frecuencia se limpian las bombas?", "number"),
        ("es", "¿Por que\u0301 se limpian las bombas?", "reason"),
        ("es", "¿Cómo se limpian las bombas?", "reason"),
        ("es", "¿Cómo se llama el barco?", "fact"),
        ("es", "¿Qué es un cortafuegos?", "definition"),
        ("es", "¿Qué significa lastre?", "definition"),
        ("es", "¿Qué es necesario comprobar?", "fact"),
        ("es", "¿Cuáles son los costes de un bote?", "list"),
        ("es", "¿Quién limpia la bomba?", "fact"),
    ],
)
def test_the_kind_in_other_languages(language: str, question: str, expected: str) -> None:
    assert kind_of(question, language) == expected


@pytest.mark.parametrize("piece", ["a", "a ", "what is ", "s ", "?"])
def test_hostile_questions_take_no_time(piece: str) -> None:
    begun = time.perf_counter()
    openings = (
        "what is ",
        "what does ",
        "which ",
        "Was ist ",
        "welche ",
        "Qu'est-ce que ",
        "quels ",
        "qué ",
        "",
    )
    for opening in openings:
        for forms in FORMS.values():
            for form in forms.values():
                form.match((opening + piece * 4000)[:4000])
    assert time.perf_counter() - begun < 0.5
