import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stages import jsonl
from stages.artifact import write_json
from stages.errors import FolioError
from stages.review import (
    CONTEXT,
    MOST_REASONS,
    PASSAGE,
    Tally,
    accounts,
    by_document,
    by_kind,
    by_reason,
    by_section,
    described,
    draw,
    excerpt,
    gather,
    in_digits,
    label,
    named,
    printable,
    read_chunks,
    read_rejected,
)
from stages.settings.review import Review
from stages.template import render
from tests.imports import ROOT

PLANTED = "<script>alert(1)</script>"
FILES = [
    Path("data/chunks.jsonl"),
    Path("data/qa.jsonl"),
    Path("data/rejected.jsonl"),
    Path("metrics/generate.json"),
    Path("metrics/verify.json"),
]


class Reader(HTMLParser):
    """The elements of a page, their attributes, the text and the marked parts, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.marked: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "mark":
            self.marked.append("")
        else:
            self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.elements and self.elements[-1][0] == "mark":
            self.marked[-1] = self.marked[-1] or data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def settings(pairs: int = 12, rejects: int = 3, sections: int = 40, documents: int = 20) -> Review:
    return Review(pairs=pairs, rejects=rejects, sections=sections, documents=documents)


def chunk(key: str, text: str, document: str = "a.pdf", *headings: str) -> dict[str, Any]:
    return {"id": key, "document": document, "pages": [1, 1], "headings": list(headings), "text": text}


def pair(key: str, of: dict[str, Any], evidence: Any = None, **more: Any) -> dict[str, Any]:
    where = {"chunk": of["id"], "document": of["document"], "pages": of["pages"], "passage": of["text"]}
    said = {"question": f"What is {key}?", "answer": f"It is {key}.", "evidence": evidence, "kind": "fact"}
    return {"id": key, "scores": {}, "generator": "a model"} | where | said | more


def account(kept: int, **dropped: int) -> dict[str, Any]:
    return {"in": kept + sum(dropped.values()), "kept": kept, "dropped": dropped}


Made = dict[str, list[dict[str, Any]]]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """What the stages before leave behind, figures aside, which follow from it."""
    monkeypatch.chdir(tmp_path)
    pumps = chunk("c1", "A seal keeps the oil in. " + "word " * 114, "a.pdf", "Part 1", "1.1 Pumps")
    pumps["pages"] = [7, 8]
    seals = chunk("c2", "word " * 150, "a.pdf", "Part 2")
    notes = chunk("c3", "Oil is changed every year by hand.", "notes.md")
    kept = [
        pair("q1", pumps, [2, 24], kind="fact", scores={"round_trip": 0.75, "length": 6}),
        pair("q2", pumps, [0, 6], kind="list"),
        pair("q3", notes, [0, 3], kind="number"),
    ]
    rejected = [
        pair("r1", pumps, filter="well_formed", reason="no_question", score=None),
        pair("r2", pumps, filter="well_formed", reason="no_question", score=None),
        pair("r3", notes, filter="round_trip", reason="disagrees", score=0.25, kind="list"),
        pair("r4", seals, filter="generate", reason="nothing_to_ask", question="", answer="", kind=""),
    ]
    return {"chunks": [pumps, seals, notes], "kept": kept, "rejected": rejected}


def write(made: Made) -> None:
    """Leave the files of the stages before, with the figures that they would count."""
    for path, key in zip(FILES, ("chunks", "kept", "rejected"), strict=False):
        jsonl.write(path, made[key])
    faults = Counter((row.get("filter", ""), row.get("reason", "")) for row in made["rejected"])
    standing, filters = len(made["kept"]) + len(made["rejected"]), {}
    for name in ["generate", *sorted({name for name, _ in faults} - {"generate"})]:
        dropped = {reason: count for (of, reason), count in faults.items() if of == name}
        standing -= sum(dropped.values())
        filters[name] = account(standing, **dropped)
    empty = sum(not row.get("question") for row in made["rejected"])
    asked = {
        "chunks": account(len(made["chunks"]) - 1, nothing_to_ask=1),
        "sentences": account(8, too_long=2),
    }
    candidates = len(made["kept"]) + len(made["rejected"]) - empty
    write_json(FILES[3], {"candidates": candidates} | asked)
    pairs = account(len(made["kept"]), **{reason: count for (_, reason), count in faults.items()})
    write_json(FILES[4], {"pairs": pairs, "filters": filters})


def shown(made: Made, options: Review | None = None) -> str:
    write(made)
    return render("pairs.html", gather(options or settings()))


# printable, label and in_digits


def test_a_text_is_cut_between_words_and_what_cannot_be_seen_is_told() -> None:
    assert printable("one two three", 13) == "one two three"
    assert printable("one two three", 11) == "one two …"
    assert printable("one two three", 7) == "one two …"
    assert printable("\u6f22" * 50, 10) == "\u6f22" * 10 + " …"
    assert printable("a\x00b\x1b\ud800\u202ec\n\td", 99) == "a\ufffdb\ufffd\ufffd\ufffdc\n\td"
    assert [printable(value, 9) for value in (None, 5, ["x"])] == ["", "", ""]


def test_names_are_read_as_words() -> None:
    assert [label("round_trip"), label(""), label(None)] == ["round trip", "not stated", "not stated"]
    assert len(label("x" * 5000)) == 62


def test_a_score_has_three_decimals_and_a_count_none() -> None:
    scores = [in_digits(score) for score in (0.75, -1.23456, 6, None, "0.5")]
    assert scores == ["0.750", "-1.235", "6", "–", "–"]


# excerpt


def test_a_passage_is_parted_at_its_evidence() -> None:
    found = excerpt("A seal keeps the oil in.", [2, 6])
    assert found == {"before": "A ", "evidence": "seal", "after": " keeps the oil in.", "lack": ""}


@pytest.mark.parametrize(
    "evidence",
    [[6, 2], [-5, 4], [0, 25], [10**12, 10**13], [3, 3], [], [1], [1, 2, 3], "ab", [0.0, 3.0], {"a": 1}, 7],
    ids=str,
)
def test_evidence_that_is_no_part_of_the_passage_marks_nothing_and_is_told(evidence: Any) -> None:
    found = excerpt("A seal keeps the oil in.", evidence)
    assert (found["before"], found["evidence"]) == ("A seal keeps the oil in.", "")
    assert found["lack"] == f"The evidence {evidence} is no part of it." or evidence == "ab"
    assert "is no part of it" in found["lack"]


def test_missing_evidence_is_told() -> None:
    assert excerpt("A seal.", None)["lack"] == "No evidence was stored."


@pytest.mark.parametrize("start", [0, 100, 25_000, 49_900, 49_990])
def test_a_long_passage_keeps_its_evidence_with_words_around_it(start: int) -> None:
    passage = "word " * 10_000
    found = excerpt(passage, [start, start + 9])
    assert found["evidence"] == "word word"
    parts = found["before"] + found["evidence"] + found["after"]
    assert PASSAGE - 20 <= len(parts) <= PASSAGE + 5
    assert found["before"].startswith("… word") == (start > PASSAGE)
    assert found["after"].endswith("word …") == (start < 49_000)
    assert set(parts.split()) <= {"word", "…"}


def test_evidence_that_is_long_itself_is_cut_and_has_words_around_it() -> None:
    found = excerpt("word " * 10_000, [5000, 45_000])
    assert PASSAGE - 5 <= len(found["evidence"]) <= PASSAGE + 2
    assert found["evidence"].endswith("word …")
    assert CONTEXT / 2 - 5 <= len(found["before"]) <= CONTEXT / 2 + 2
    assert CONTEXT / 2 - 5 <= len(found["after"]) <= CONTEXT / 2 + 2


# draw


def test_pairs_are_drawn_by_hash_from_the_documents_in_turn() -> None:
    # sha256 of b is 3e23..., of a ca97...; of 4, 3, 1 and 2 it is 4b22..., 4e07..., 6b86... and d473...
    ids = {"a": [("1", 0), ("2", 1), ("3", 2), ("4", 3)], "b": [("1", 4)]}
    assert [draw(ids, most) for most in (0, 1, 2, 3)] == [set(), {4}, {3, 4}, {2, 3, 4}]
    assert draw(ids, 4) == {0, 2, 3, 4}
    assert draw(ids, 99) == {0, 1, 2, 3, 4}


def test_of_very_many_documents_each_gives_one_pair_at_most() -> None:
    ids = {f"{name}.pdf": [(f"{name}-{n}", 10 * name + n) for n in range(10)] for name in range(300)}
    drawn = draw(ids, 24)
    assert len({place // 10 for place in drawn}) == len(drawn) == 24
    assert draw(dict(reversed(ids.items())), 24) == drawn


# Yield


def test_the_yield_of_a_section_worked_out_by_hand(made: Made) -> None:
    sections, places = read_chunks(iter(made["chunks"]), Counter({"c1": 2, "c3": 1}))
    assert sections == {
        ("a.pdf", ("Part 1", "1.1 Pumps")): Tally(words=120, chunks=1, empty=0, pairs=2),
        ("a.pdf", ("Part 2",)): Tally(words=150, chunks=1, empty=1, pairs=0),
        ("notes.md", ()): Tally(words=7, chunks=1, empty=0, pairs=1),
    }
    assert [round(tally.rate, 2) for tally in sections.values()] == [16.67, 0.0, 142.86]
    assert [tally.missed for tally in sections.values()] == [False, True, False]
    assert places == {"c1": ("a.pdf", ("Part 1", "1.1 Pumps")), "c3": ("notes.md", ())}


def test_chunks_under_one_heading_are_one_section_and_in_another_document_another() -> None:
    chunks = [chunk("1", "a b", "a.pdf", "X"), chunk("2", "c", "a.pdf", "X"), chunk("3", "d", "b.pdf", "X")]
    sections, _ = read_chunks(chunks, Counter({"2": 3}))
    assert sections == {("a.pdf", ("X",)): Tally(3, 2, 1, 3), ("b.pdf", ("X",)): Tally(1, 1, 1, 0)}


def test_a_section_counts_as_large_from_100_words() -> None:
    assert [Tally(words, 1, 1, 0).missed for words in (99, 100)] == [False, True]
    assert Tally(0, 0, 0, 0).rate == 0


def test_sections_without_a_pair_come_first_and_the_rest_is_counted() -> None:
    sections = {
        ("a.pdf", ("small",)): Tally(20, 1, 1, 0),
        ("a.pdf", ("rich",)): Tally(200, 2, 0, 4),
        ("a.pdf", ("thin",)): Tally(200, 2, 1, 1),
        ("a.pdf", ("missed",)): Tally(100, 1, 1, 0),
        ("a.pdf", ("missed, longer",)): Tally(300, 3, 3, 0),
    }
    found = by_section(sections, 10)
    names = [row["headings"][0] for row in found["rows"]]
    assert names == ["missed, longer", "missed", "thin", "rich", "small"]
    assert (found["left_out"], found["left_missed"], found["left"]) == (0, 0, Tally())
    found = by_section(sections, 1)
    assert len(found["rows"]) == 1
    assert (found["left_out"], found["left_missed"], found["left"]) == (4, 1, Tally(520, 6, 3, 5))


def test_documents_with_the_fewest_pairs_for_their_words_come_first_and_the_rest_is_counted() -> None:
    sections = {
        ("rich.pdf", ("1",)): Tally(100, 1, 0, 5),
        ("thin.pdf", ("1",)): Tally(300, 3, 2, 1),
        ("rich.pdf", ("2",)): Tally(100, 1, 1, 0),
    }
    found = by_document(sections, 1)
    assert found["rows"] == [{"document": "thin.pdf", "tally": Tally(300, 3, 2, 1)}]
    assert (found["n"], found["left_out"], found["left"]) == (2, 1, Tally(200, 2, 1, 5))
    assert found["total"] == Tally(500, 5, 3, 6)


def test_kinds_are_counted_the_commonest_first_and_many_rare_ones_together() -> None:
    kept, rejected = Counter({"fact": 3, "": 1}), Counter({"list": 4, "fact": 2})
    assert by_kind(kept, rejected) == [
        {"kind": "fact", "kept": 3, "rejected": 2},
        {"kind": "list", "kept": 0, "rejected": 4},
        {"kind": "not stated", "kept": 1, "rejected": 0},
    ]
    rows = by_kind(Counter({f"{number:03}": 2 for number in range(100)}), Counter({"050": 1, "099": 1}))
    assert len(rows) == 21
    assert rows[0] == {"kind": "050", "kept": 2, "rejected": 1}
    assert rows[-1] == {"kind": "80 others", "kept": 160, "rejected": 0}


def test_a_path_of_headings_is_bounded() -> None:
    found = named(("d" * 5000, ("h" * 5000,) * 5000))
    assert len(found["document"]) == 202
    assert [len(heading) for heading in found["headings"]] == [202] * 8 + [1]


# Rejects


def test_rejects_are_counted_by_filter_and_reason_with_examples_drawn_by_hash() -> None:
    # By sha256 4, 3, 1, 2 (see above).
    records = [{"id": key, "question": key, "filter": "f", "reason": "a_b"} for key in "1234"]
    records += [{"id": "5", "filter": "g", "reason": "a_b"}, {"id": "6"}]
    for order in (records, records[::-1]):
        faults, kinds = read_rejected(iter(order), 2)
        found = by_reason(faults)
        assert [(row["filter"], row["reason"], row["count"]) for row in found] == [
            ("f", "a b", 4),
            ("not stated", "not stated", 1),
            ("g", "a b", 1),
        ]
        assert [example["id"] for example in found[0]["examples"]] == ["4", "3"]
        assert kinds == {"": 4}


def test_examples_may_be_none_and_reasons_are_bounded() -> None:
    records = ({"id": str(n), "filter": "f", "reason": f"r{n}"} for n in range(MOST_REASONS + 5))
    found = by_reason(read_rejected(records, 0)[0])
    assert len(found) == MOST_REASONS
    assert not any(row["examples"] for row in found)


def test_a_reject_may_lack_anything() -> None:
    empty = dict.fromkeys(("id", "document", "pages", "question", "answer", "passage"), "")
    for record in ({}, dict.fromkeys([*empty, "kind", "score", "evidence"])):
        assert described(record) == empty | {"kind": "not stated", "score": "–"}


def test_a_chunk_that_gave_nothing_is_shown_by_its_passage() -> None:
    assert described({"question": "", "passage": "A seal."})["passage"] == "A seal."
    assert described({"question": "Why?", "passage": "A seal."})["passage"] == ""


# accounts


def test_figures_that_tell_what_was_dropped_are_found_and_bounded() -> None:
    figures = {"candidates": 5, "model": {"name": "x"}, "chunks": account(3, not_asked=2, b=1)}
    found = accounts(figures, 1)
    expected = {"in": 6, "kept": 3, "dropped": [("not asked", 2)], "label": "chunks", "left_out": 1}
    assert found == {"chunks": expected}
    assert accounts([1], 1) == {}


# gather and the template


def test_every_figure_is_told(made: Made) -> None:
    text = Reader(shown(made)).words
    for figure in (
        "3 of 6 candidate pairs passed every filter",
        "Pairs 3 of 6 candidates (50.0%)",
        "Chunks with a pair 2 of 3 chunks (66.7%)",
        "Large sections with a pair 1 of 2 sections of 100 words or more (50.0%)",
        "Sections (1 without a pair)",
        "generate 7 6 1 nothing to ask 1",
        "round trip 6 5 1 disagrees 1",
        "well formed 5 3 2 no question 2",
        "Chunks that gave a candidate 2 of 3 (66.7%)",
        "nothing to ask 1 33.3%",
        "Sentences asked about 8 of 10 (80.0%)",
        "too long 2 20.0%",
        "no question 2 of 7 (28.6%), filter well formed",
        "What is r3? It is r3. 0.250 notes.md, page 1",
        "fact 1 33.3% 2",
        "a.pdf 270 2 1 2 7.4",
        "notes.md 7 1 0 1 142.9",
        "All 2 documents 277 3 1 3 10.8",
        "Part 2 a.pdf no pair 150 1 1 0 0.0 Part 1 › 1.1 Pumps a.pdf 120 1 0 2 16.7",
        "no heading notes.md 7 1 0 1 142.9",
        "What is q1? It is q1. fact round trip 0.750 length 6 a.pdf, pages 7 to 8 q1 Part 1 › 1.1 Pumps",
        "notes.md, page 1 q3 no heading Oil is changed every year by hand.",
    ):
        assert figure in text, figure


def test_evidence_is_marked_in_its_passage(made: Made) -> None:
    reader = Reader(shown(made))
    assert reader.marked == ["seal keeps the oil in.", "A seal", "Oil"]
    assert "A seal keeps the oil in. word" in reader.text


def test_the_filters_stand_in_their_order_and_each_goes_on_from_the_one_before(made: Made) -> None:
    write(made)
    filters = list(gather(settings())["filters"].values())
    assert [row["label"] for row in filters] == ["generate", "round trip", "well formed"]
    assert all(first["kept"] == second["in"] for first, second in pairwise(filters))


def test_the_tables_are_bounded_and_the_rest_is_counted(made: Made) -> None:
    text = Reader(shown(made, settings(sections=1, documents=1))).words
    assert "1 document more: 1 pair in 1 chunk of 7 words." in text
    assert (
        "2 sections more: 3 pairs in 2 chunks of 127 words; 0 of them are large and without a pair." in text
    )


def test_without_examples_the_figures_remain(made: Made) -> None:
    reader = Reader(shown(made, settings(pairs=0, rejects=0)))
    assert not reader.of("mark")
    assert "What is" not in reader.text
    assert "no question 2 of 7 (28.6%)" in reader.words


def test_with_nothing_at_all_there_is_a_page(made: Made) -> None:
    made["kept"], made["rejected"] = [], []
    reader = Reader(shown(made))
    assert "0 of 0 candidate pairs passed every filter." in reader.words
    assert "Large sections with a pair 0 of 2 sections" in reader.words
    assert "No question was written." in reader.words
    assert not {"article", "mark"} & {tag for tag, _ in reader.elements}
    made["chunks"] = []
    assert Reader(shown(made)).words.count("There is no chunk.") == 2


def test_pairs_without_rejects_are_shown(made: Made) -> None:
    made["rejected"] = []
    reader = Reader(shown(made))
    assert "#rejects" not in [link["href"] for link in reader.of("a")]
    assert len(reader.marked) == 3


def hostile(made: Made) -> Made:
    """The same stages, fed by a document, a model and a filter that would like to write the page."""
    text = f"{PLANTED} and </div></mark><img src=http://a.example> \x00\x1b"
    evil = chunk("c9", text * 20, f"{PLANTED}\" onclick='x'.pdf", PLANTED, "\u202eevil", *[text] * 50)
    words = {"question": text * 9, "answer": text * 99, "kind": text}
    made["chunks"].append(evil)
    spans = [[0, 25], [25, 0], [-1, 5], [0, 10**9], None, PLANTED]
    made["kept"] += [pair(f"{PLANTED}{n}", evil, span, **words) for n, span in enumerate(spans)]
    made["kept"][-1]["scores"] = {PLANTED: 0.5}
    odd = {"filter": PLANTED, "reason": f"x{PLANTED}"}
    made["rejected"] += [pair(PLANTED, evil, score=0.5, **words, **odd), odd, dict(odd, pages=[3, 3])]
    return made


def test_neither_a_document_nor_a_model_can_write_markup(made: Made) -> None:
    page = shown(hostile(made))
    reader = Reader(page)
    foreign = {"script", "img", "link", "iframe", "object", "base", "form"}
    assert not foreign & {tag for tag, _ in reader.elements}
    assert not [key for _, attributes in reader.elements for key in attributes if key.startswith("on")]
    assert not {"\x00", "\x1b", "\u202e"} & set(page)
    assert reader.marked.count(PLANTED) == 1  # of six; the spans of the others are no part of the passage
    assert reader.words.count("is no part of it.") == 4
    assert "No evidence was stored." in reader.words
    assert f"{PLANTED} and </div></mark><img src=http://a.example>" in reader.text


def test_half_a_surrogate_pair_does_not_stop_the_page(made: Made) -> None:
    write(made)
    row = made["kept"][0] | {"question": "What \ud83d?", "id": "\ud83d"}
    lines = [json.dumps(row), *map(json.dumps, made["kept"][1:])]
    FILES[1].write_text("\n".join(lines), encoding="utf-8")
    assert "What \ufffd?" in render("pairs.html", gather(settings())).encode().decode()


def test_text_of_documents_runs_in_its_own_direction(made: Made) -> None:
    reader = Reader(shown(made))
    assert {"h3", "p", "div", "th", "td"} <= {
        tag for tag, found in reader.elements if found.get("dir") == "auto"
    }


def test_the_page_is_bounded_whatever_it_is_made_of(made: Made) -> None:
    long = chunk("c9", "word " * 100_000, "d" * 4000, *["h" * 9000] * 500)
    words = {"question": "q" * 10**5, "answer": "a" * 10**5, "scores": {f"{n:099}": 0.5 for n in range(999)}}
    made["chunks"].append(long)
    made["chunks"] += [chunk(f"d{n}", "word " * 120, f"{n}.pdf", f"h{n}") for n in range(500)]
    made["kept"] += [pair(f"k{n}", long, [0, 400_000], kind=f"{n}", **words) for n in range(40)]
    made["rejected"] += [pair(f"s{n}", long, filter="f", reason=f"r{n}", **words) for n in range(100)]
    page = shown(made)
    reader = Reader(page)
    assert len(page.encode()) < 400_000
    assert "63 rarer reasons more in metrics/verify.json." in reader.words
    assert "483 documents more: 43 pairs" in reader.words
    assert "464 sections more: 43 pairs" in reader.words
    assert "461 of them are large and without a pair." in reader.words


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing(made: Made) -> None:
    page = shown(hostile(made))
    reader = Reader(page)
    policy = next(meta for meta in reader.of("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    places = [value for _, found in reader.elements for key, value in found.items() if key in ("src", "href")]
    assert places
    assert all(place.startswith("#") for place in places)
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_can_be_read_by_ear_and_by_keyboard(made: Made) -> None:
    reader = Reader(shown(made))
    assert reader.of("html")[0]["lang"] == "en"
    assert {"header", "nav", "main"} <= {tag for tag, _ in reader.elements}
    assert reader.of("a")[0] == {"class": "hidden skip", "href": "#main"}
    assert all(cell.get("scope") in ("row", "col") for cell in reader.of("th"))
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    linked = {link["href"][1:] for link in reader.of("a")}
    linked |= {found["aria-labelledby"] for _, found in reader.elements if "aria-labelledby" in found}
    assert linked <= set(ids)
    assert len(reader.of("table")) == len(reader.of("caption"))


def test_the_same_files_give_the_same_bytes_in_whatever_order_they_stand(made: Made) -> None:
    page = shown(made)
    assert shown(made) == page
    assert shown({key: rows[::-1] for key, rows in made.items()}).count("<mark>") == page.count("<mark>")


# Failures


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_stage_that_has_not_run_is_named(made: Made, path: Path) -> None:
    write(made)
    path.unlink()
    with pytest.raises(FolioError, match=f"^{path} is missing; run `dvc repro`$"):
        gather(settings())


def empty(path: Path) -> Callable[[Made], None]:
    return lambda _: write_json(path, {})


def earlier(_: Made) -> None:
    write_json(FILES[3], {"chunks": 281, "candidates": 5})


def without_a_pair(made: Made) -> None:
    jsonl.write(FILES[1], made["kept"][:2])


def with_a_reject(made: Made) -> None:
    jsonl.write(FILES[2], [*made["rejected"], {}])


def without_a_chunk(made: Made) -> None:
    jsonl.write(FILES[0], made["chunks"][1:])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (empty(FILES[3]), "metrics/generate.json does not tell chunks as this version does; run `dvc repro`"),
        (earlier, "metrics/generate.json does not tell chunks as this version does; run `dvc repro`"),
        (empty(FILES[4]), "metrics/verify.json does not tell pairs as this version does; run `dvc repro`"),
        (without_a_pair, "data/qa.jsonl holds 2 lines where metrics/verify.json counts 3; run `dvc repro`"),
        (
            with_a_reject,
            "data/rejected.jsonl holds 5 lines where metrics/verify.json counts 4; run `dvc repro`",
        ),
        (without_a_chunk, "data/qa.jsonl names the chunk c1, which data/chunks.jsonl lacks; run `dvc repro`"),
    ],
)
def test_files_of_different_runs_are_refused(
    made: Made, damage: Callable[[Made], None], sentence: str
) -> None:
    write(made)
    damage(made)
    with pytest.raises(FolioError) as caught:
        gather(settings())
    assert str(caught.value) == sentence


def command() -> subprocess.CompletedProcess[str]:
    values = {
        "_target_": "stages.settings.review.Review",
        "pairs": 2,
        "rejects": 1,
        "sections": 5,
        "documents": 5,
    }
    line = [
        sys.executable,
        "-m",
        "stages.review",
        *(f"++review.{key}={value}" for key, value in values.items()),
    ]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


def test_the_command_writes_the_page(made: Made) -> None:
    write(made)
    done = command()
    assert done.returncode == 0, done.stderr
    assert done.stdout == "review: 2 of 3 pairs beside their passages in report/pairs.html: are they good?\n"
    assert Path("report/pairs.html").read_text(encoding="utf-8").count("<mark>") == 2


def test_the_command_fails_in_one_sentence(made: Made) -> None:
    assert made
    done = command()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "folio: metrics/generate.json is missing; run `dvc repro`\n"


def test_no_model_library_is_imported() -> None:
    lines = "import sys, stages.review; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", lines], cwd=ROOT, check=True)
