import subprocess
import sys
import time

import pytest

from stages.language import LEAST_BYTES, language_of, letter_bytes, mark

SENTENCES = {
    "en": "The captain inspects the lifeboats every four weeks and enters the result in the log.",
    "de": "Der Kapitän prüft die Rettungsboote alle vier Wochen und trägt das Ergebnis ins Logbuch ein.",
    "fr": "Le capitaine inspecte les canots de sauvetage toutes les quatre semaines et note le résultat.",
    "es": "El capitán revisa los botes salvavidas cada cuatro semanas y anota el resultado en el diario.",
    "it": "Il capitano ispeziona le scialuppe ogni quattro settimane e annota il risultato nel registro.",
    "ja": "船長は四週間ごとに救命艇を点検し、その結果を航海日誌に記入する。記録は五年間保存される。",
    "zh": "船长每四周检查一次救生艇，并把结果记入航海日志。这些记录要保存五年，以备检查。",
    "ru": "Капитан проверяет спасательные шлюпки каждые четыре недели и записывает результат в журнал.",
}


def chunk(text: str, document: str = "ship.pdf", number: int = 0) -> dict[str, object]:
    return {"id": f"c{number}", "document": document, "text": text}


def codes(*chunks: dict[str, object], default: str = "xx") -> list[str]:
    return [chunk["language"] for chunk in mark(chunks, default)]


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_has_its_language(language: str) -> None:
    code, probability = language_of(SENTENCES[language])
    assert code == language
    assert 0.7 < probability <= 1
    assert codes(chunk(SENTENCES[language])) == [language]


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("What is the purpose of the plan?", "en"),
        ("Was ist der Zweck des Plans?", "de"),
        ("Quel est le but du plan ?", "fr"),
        ("¿Cuál es el objetivo del plan?", "es"),
        ("救命艇は誰が点検しますか？", "ja"),
        ("谁检查救生艇？", "zh"),
        ("Кто проверяет шлюпки?", "ru"),
        # Written Cantonese and Bokmål have no code of their own here.
        ("邊個每四個星期檢查一次救生艇？", "zh"),
        ("Hvem kontrollerer livbåtene hver fjerde uke?", "no"),
    ],
)
def test_a_question_has_its_language(question: str, language: str) -> None:
    assert language_of(question)[0] == language


@pytest.mark.parametrize("text", ["", " \n", "12 34 56", "?!", "½ + ² = ∞"])
def test_a_text_without_letters_has_no_language(text: str) -> None:
    assert language_of(text) == ("und", 0.0)


def test_half_a_character_is_no_obstacle() -> None:
    assert language_of("\ud800 " + SENTENCES["en"])[0] == "en"


def test_code_and_names_are_unsure() -> None:
    assert language_of("0x1f 77 8a 9b fe 01 0x22 ff")[1] < 0.6
    assert language_of("Karen Scarfone, Tim Grance, Paul Cichonski")[1] < 0.6


def test_a_document_of_names_and_figures_gets_the_default() -> None:
    names = "Karen Scarfone, Tim Grance, Paul Cichonski, Tom Millar, Patrick D. Gallagher, Rebecca M. Blank"
    assert letter_bytes(names) >= 70
    assert codes(chunk(names + " 12"), default="fr") == ["fr"]
    assert codes(chunk("1.5 | 2.25 | 3.75 " * 50), default="fr") == ["fr"]


def test_too_little_text_gets_the_default() -> None:
    assert letter_bytes("wer Größe 42!") == 3 + 7
    short = "Who inspects the lifeboats?"
    assert letter_bytes(short) < LEAST_BYTES
    assert codes(chunk(short), default="de") == ["de"]
    # Two of its chunks together are enough.
    assert codes(*[chunk(short)] * 4, default="de") == ["en"] * 4


def test_all_chunks_of_a_document_have_one_language_and_documents_their_own() -> None:
    chunks = [
        chunk(SENTENCES["de"], "a.pdf", 1),
        chunk(SENTENCES["en"], "b.pdf", 2),
        chunk("IPv6", "a.pdf", 3),
        chunk(SENTENCES["en"], "b.pdf", 4),
    ]
    marked = mark(iter(chunks), "xx")
    assert marked == [
        c | {"language": code} for c, code in zip(chunks, ["de", "en", "de", "en"], strict=True)
    ]
    assert "language" not in chunks[0]  # the given records stay as they were


def test_a_foreign_beginning_does_not_decide() -> None:
    # An English abstract of 2,000 characters before ten times as much German.
    abstract = chunk(SENTENCES["en"] * 24, number=1)
    body = [chunk(SENTENCES["de"] * 24, number=n) for n in range(2, 12)]
    assert set(codes(abstract, *body)) == {"de"}


def test_one_long_chunk_is_read_all_over() -> None:
    assert codes(chunk(SENTENCES["en"] * 100 + SENTENCES["de"] * 1000)) == ["de"]


def test_no_chunks_are_no_languages() -> None:
    assert mark([], "en") == []


def test_the_same_chunks_have_the_same_language_again() -> None:
    chunks = [chunk(text, f"{code}.pdf") for code, text in SENTENCES.items()]
    assert codes(*chunks) == list(SENTENCES) == codes(*chunks)


def test_ten_thousand_chunks_take_a_few_seconds() -> None:
    chunks = [chunk(SENTENCES["en"] * 12, f"d{n // 20}.pdf", n) for n in range(10_000)]
    start = time.perf_counter()
    assert len(mark(chunks, "de")) == 10_000
    assert time.perf_counter() - start < 5


def test_the_model_is_loaded_when_a_text_is_read() -> None:
    lines = "import sys, stages.language; sys.exit('py3langid' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", lines], check=True)
