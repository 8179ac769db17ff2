"""Whether chunks are passages that a reader would call so: five real documents, and files that are broken."""

import re
import shutil
import time
from pathlib import Path

import pytest

from tests import corpus
from tests.corpus import DATA, DOCUMENTS, Expected, Record, Stream, measure, squeezed, words

NASTY = sorted((DATA / "nasty").glob("*.pdf"))
HEADED = [path for path in DOCUMENTS if Expected.of(path).headings]
ALONE = 10.0  # seconds that a broken file may take

by_name = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Record]]:
    folder = tmp_path_factory.mktemp("documents")
    for path in DOCUMENTS:
        shutil.copy(path, folder)
    records, _ = corpus.chunks_of(folder)
    return corpus.by_document(records)


@by_name
def test_the_words_of_the_text_layer_stand_in_the_chunks_in_order(
    path: Path, chunks: dict[str, list[Record]]
) -> None:
    found = measure(path, chunks[path.name])
    report = "\n".join((f"recall {found.recall:.4f}, order {found.order:.4f}", *found.worst))
    assert found.recall >= 0.99, report
    assert found.order >= 0.99, report


@by_name
def test_nothing_stands_in_the_chunks_twice(path: Path, chunks: dict[str, list[Record]]) -> None:
    assert measure(path, chunks[path.name]).added <= 0.01


@by_name
def test_no_running_line_or_page_number_survives(path: Path, chunks: dict[str, list[Record]]) -> None:
    survivors = corpus.surviving_furniture(path, chunks[path.name])
    assert not survivors, "\n".join(survivors)


@pytest.mark.parametrize("path", HEADED, ids=lambda path: path.stem)
def test_the_numbered_headings_stand_in_heading_paths(path: Path, chunks: dict[str, list[Record]]) -> None:
    missing = corpus.missing_headings(path, chunks[path.name])
    share = 1 - len(missing) / len(Expected.of(path).headings)
    assert share >= 0.95, "\n".join(missing)


@by_name
def test_what_follows_on_the_page_follows_in_the_chunks(path: Path, chunks: dict[str, list[Record]]) -> None:
    broken = corpus.broken_facts(path, chunks[path.name])
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("path", NASTY, ids=lambda path: path.stem)
def test_a_broken_file_ends_in_chunks_or_in_a_reason(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path)
    start = time.monotonic()
    outcome = corpus.outcome_of(tmp_path)
    assert re.fullmatch(r"[1-9]\d* chunks", outcome) or corpus.is_reason(outcome, path), outcome
    assert time.monotonic() - start < ALONE


# The measure itself, against what a hand can count.


def record(text: str, pages: tuple[int, int] = (1, 1), headings: tuple[str, ...] = ()) -> Record:
    return {"id": "0", "document": "d", "pages": list(pages), "headings": list(headings), "text": text}


def test_words_are_letters_or_digits_in_one_case_without_accents() -> None:
    assert words("Agência’s ﬁve 3.2.1 co-op") == ["agencia", "s", "five", "3", "2", "1", "co", "op"]
    # An accent that stands as a sign of its own, as some fonts have it.
    assert words("Age\u02c6ncia Aviac\u00b8a\u02dco") == ["agencia", "aviacao"]


def test_the_longest_common_subsequence_is_counted() -> None:
    assert corpus.common(list("abcbdab"), list("bdcaba")) == 4
    assert corpus.common([], list("ab")) == corpus.common(list("ab"), []) == 0
    assert corpus.common(list("aab"), list("aab")) == 3


def test_a_word_cut_at_a_line_end_is_taken_as_the_chunks_have_it() -> None:
    cut = words("incident\x02related infor\x02mation")
    assert Stream([record("incident-related information")]).settle(cut) == [
        "incident",
        "related",
        "information",
    ]
    assert Stream([record("Tim Grance")]).settle(["timgrance"]) == ["tim", "grance"]
    assert Stream([record("Tim Grance and 38")]).settle(["38", "31"]) == ["38", "31"]


def test_a_heading_is_counted_once_where_it_begins() -> None:
    parts = [record("a", headings=("1 One",)), record("b", headings=("1 One", "1.1 In")), record("c")]
    assert Stream(parts).words == ["1", "one", "a", "1", "1", "in", "b", "c"]


def test_a_chapter_in_two_lines_is_one_heading() -> None:
    spelled = set(corpus._spelled(("CHAPTER ONE", "INTRODUCTION", "1.1 PURPOSE")))
    assert {squeezed("Chapter One Introduction"), squeezed("1.1 Purpose")} <= spelled
    assert squeezed("Chapter One 1.1 Purpose") not in spelled


def test_a_row_is_whole_where_its_cells_follow_each_other() -> None:
    row = words("Toluene 16 0.012 8")
    assert corpus._in_one_run(row, Stream([record("71 Toluene | 16 | 0.012 | 8")]))
    assert not corpus._in_one_run(
        row, Stream([record("Toluene Styrene | 16 4 | 0.012 0.3 | 9 9 9 9 9 9 9 8")])
    )
    assert not corpus._in_one_run(row, Stream([record("16 | Toluene | 0.012 | 8")]))


@by_name
def test_the_expected_lists_name_what_the_documents_print(path: Path) -> None:
    expected = Expected.of(path)
    texts = [squeezed(text) for text in corpus.page_texts(path)]
    for heading in expected.headings:
        assert squeezed(heading["text"]) in texts[heading["page"] - 1], heading
    for page, before, after, _ in expected.adjacent:
        assert squeezed(before) in texts[page - 1], before
        assert squeezed(after) in "".join(texts[page - 1 : page + 2]), after
    for page, cells in expected.rows:
        for cell in cells:
            assert squeezed(cell) in texts[page - 1], cell
    assert len(corpus.reference(path)) == len(texts)
