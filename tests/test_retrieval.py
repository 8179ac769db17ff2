import math
from pathlib import Path
from typing import Any

import pytest

from stages import jsonl
from stages.retrieval import Passages, look_up, read_passages


def chunk(text: str, page: int = 1, headings: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"document": "ship.pdf", "pages": [page, page], "headings": [*headings], "text": text}


SHIP = [
    chunk("The captain commands the ship.", 1),
    chunk("The cook feeds the crew, and the crew thanks the cook.", 2),
    chunk("The pilot steers the ship into the harbour.", 3),
    chunk("Nobody sleeps.", 4, ("Harbour rules",)),
]


def test_the_passage_that_shares_the_rarest_words_comes_first() -> None:
    found = Passages(SHIP, "en").best("Who steers a ship?", 9)
    assert [one["pages"][0] for one in found] == [3, 1]


def test_scores_are_those_of_bm25_worked_out_by_hand() -> None:
    passages = Passages(SHIP, "en")
    # Lucene's form: idf = ln(1 + (N - n + 0.5) / (n + 0.5)), tf / (tf + k1 (1 - b + b length / mean)).
    lengths = [3, 6, 4, 4]
    idf = math.log(1 + (4 - 1 + 0.5) / (1 + 0.5))
    weight = 2 / (2 + 1.5 * (1 - 0.75 + 0.75 * 6 / (sum(lengths) / 4)))
    assert passages.scores("A cook?")[1] == pytest.approx(idf * weight, rel=1e-5)


def test_words_of_a_heading_count() -> None:
    found = Passages(SHIP, "en").best("What are the rules?", 1)
    assert [one["pages"][0] for one in found] == [4]


@pytest.mark.parametrize("question", ["What is it?", "Zebras?", "", "?!", "船長は誰ですか"])
def test_without_a_common_word_there_is_no_passage(question: str) -> None:
    assert Passages(SHIP, "en").best(question, 3) == []


def test_scripts_without_blanks_are_found_too() -> None:
    chunks = [chunk("船長が船を指揮する。", 1), chunk("料理人が食事を作る。", 2)]
    assert Passages(chunks, "ja").best("料理人は誰か", 1) == [chunks[1]]


@pytest.mark.parametrize("chunks", [[], [chunk("It is.")]], ids=["none", "no words"])
def test_nothing_to_search_finds_nothing(chunks: list[dict[str, Any]]) -> None:
    assert Passages(chunks, "en").best("Who commands the ship?", 3) == []


def test_of_equal_passages_the_earlier_comes_first() -> None:
    chunks = [chunk("The mast is tall.", page) for page in (1, 2, 3)]
    assert Passages(chunks, "en").best("How tall is the mast?", 2) == chunks[:2]


def test_what_is_found_is_shown_with_its_place_and_bounded() -> None:
    long = chunk("The anchor is heavy. " + "x " * 5000, 7)
    found = look_up(Passages([long], "en"), "How heavy is the anchor?", 1)
    assert found.passage == long["text"]
    assert found.shown.startswith("ship.pdf, page 7\n\nThe anchor")
    assert len(found.shown) < 4100
    both = look_up(Passages(SHIP, "en"), "Who steers a ship?", 2)
    assert both.passage == f"{SHIP[2]['text']}\n\n{SHIP[0]['text']}"
    assert both.shown.count("ship.pdf, page") == 2


def test_why_there_is_no_passage_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_passages("en") is None
    assert "there is no data/chunks.jsonl" in look_up(None, "Who?", 1).shown
    jsonl.write(Path("data/chunks.jsonl"), SHIP)
    passages = read_passages("en")
    assert look_up(passages, "Who steers?", 1).passage == SHIP[2]["text"]
    nothing = look_up(passages, "Zebras?", 1)
    assert nothing.passage is None
    assert "none shares a telling word" in nothing.shown
