from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from stages import jsonl
from stages.artifact import write_json
from stages.errors import FolioError
from stages.report import gather, side_by_side, table, where
from stages.template import one_line, render

MODELS = ("base", "tuned")
PLANTED = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """The elements and the text of a page, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def answer(name: str, said: str, context: str = "open", question: str = "Who?") -> dict[str, Any]:
    return {
        "id": name,
        "context": context,
        "document": "ship.pdf",
        "pages": [7, 7],
        "question": question,
        "reference": "The captain.",
        "answer": said,
    }


def facts(**changes: Any) -> dict[str, Any]:
    account = {"in": 10, "kept": 7, "dropped": {"too_short": 2, "duplicate": 1}}
    values: dict[str, Any] = {
        "chunk": {
            "files": {"in": 2, "kept": 2, "dropped": {}}, "pages": {"in": 9, "kept": 9, "dropped": {}},
            "characters": {"in": 5, "kept": 5, "dropped": {}}, "chunks": account,
            "words": 1234, "failed": {},
        },
        "verify": {"chunks": 7, "chunks_with_pairs": 3, "pairs": account},
        "tokenize": {"train": 5, "validation": 1, "test": 2},
        "train": {"trainable": 8, "parameters": 80, "steps": 4, "loss": {"before": 2.0, "after": 1.23456}},
        "merge": {"difference": 0.01, "tokens": 33},
        "table": [{"figure": "perplexity", "context": "with the passage", "n": 2, "passages": 2,
                   "base": 4.0, "tuned": 1.5, "base_range": (3.0, 5.0), "tuned_range": (1.0, 2.0),
                   "difference": {"value": -2.5, "low": -3.5, "high": -1.5, "improvement": 1.0}}],
        "examples": side_by_side([answer("a", "base said")], [answer("a", "tuned said")], 6),
        "model": "some/model",
        "method": "lora",
    }  # fmt: skip
    return values | changes


# where()


@pytest.mark.parametrize(
    ("pages", "text"), [([7, 7], "manual.pdf, page 7"), ([7, 8], "manual.pdf, pages 7 to 8")]
)
def test_where(pages: list[int], text: str) -> None:
    assert where({"document": "manual.pdf", "pages": pages}) == text


# table()


def test_the_table_has_a_row_per_context_and_figure() -> None:
    def cell(**values: tuple[float, float]) -> dict[str, Any]:
        def one(value: float) -> dict[str, Any]:
            return {"value": value, "low": value - 1, "high": value + 1}

        sides = {
            model: {name: one(pair[at]) for name, pair in values.items()} for at, model in enumerate(MODELS)
        }
        gaps = {name: one(tuned - base) | {"improvement": 0.9} for name, (base, tuned) in values.items()}
        return {**sides, "difference": gaps, "n": 2, "passages": 1}

    scores = {
        "perplexity": {"closed": cell(perplexity=(9.0, 3.0)), "open": cell(perplexity=(4.0, 1.5))},
        "squad": {"open": cell(f1=(0.5, 1.0), exact=(0.0, 0.5)), "trained": {"n": 0, "passages": 0}},
    }
    rows = table(scores)
    keys = ("figure", "context", "n", "base", "tuned")
    # With the passage first; a figure that is called as its metric does not say so twice.
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("perplexity", "with the passage", 2, 4.0, 1.5),
        ("squad f1", "with the passage", 2, 0.5, 1.0),
        ("squad exact", "with the passage", 2, 0.0, 0.5),
        ("perplexity", "without the passage", 2, 9.0, 3.0),
    ]
    assert rows[0]["base_range"] == (3.0, 5.0)
    assert rows[0]["difference"]["value"] == -2.5


# side_by_side()


def test_both_models_answers_stand_beside_each_other() -> None:
    base = [answer("a", "one"), answer("a", "not this", "closed"), answer("b", "three")]
    tuned = [answer("b", "four"), answer("a", "two"), answer("a", "nor this", "closed")]
    rows = side_by_side(base, tuned, 6)
    assert {(row["id"], row["base"], row["tuned"]) for row in rows} == {
        ("a", "one", "two"),
        ("b", "three", "four"),
    }
    assert {row["where"] for row in rows} == {"ship.pdf, page 7"}


def test_the_questions_shown_are_few_and_the_same_in_any_order() -> None:
    rows = [answer(f"q{n}", "said") for n in range(50)]
    shown = [row["id"] for row in side_by_side(rows, rows, 6)]
    assert len(shown) == 6
    assert shown == [row["id"] for row in side_by_side(rows, rows[::-1], 6)]
    # Drawn by hash, not the first ones.
    assert shown != [f"q{n}" for n in range(6)]
    assert side_by_side(rows, rows, 0) == []


# one_line()


def rendered(text: str) -> tuple[set[str], str]:
    """The kinds of Markdown found in a list item that holds `text`, and what a reader sees of it."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(f"- base: {one_line(text)}\n")
    kinds = {token.type for token in tokens}
    children = [child for token in tokens for child in token.children or []]
    kinds |= {child.type for child in children if child.type not in ("text", "text_special")}
    return kinds, "".join(child.content for child in children)


LIST = {
    f"{name}_{end}" for name in ("bullet_list", "list_item", "paragraph") for end in ("open", "close")
} | {"inline"}


@pytest.mark.parametrize(
    "text",
    [
        PLANTED,
        "**bold** _slanted_ `code` ~~gone~~",
        "[a link](http://a.example) ![an image](x.png) <http://a.example>",
        "# no heading\n\n- no item\n\n| no | table |\n|---|---|\n| a | b |",
        "a back\\slash \\* and one at the end \\",
        "AT&amp;T &lt;b&gt; &#42;",
        "> no quote",
        "tabs\tand\u2028breaks",
    ],
)
def test_nothing_in_a_text_is_markup(text: str) -> None:
    assert rendered(text) == (LIST, f"base: {' '.join(text.split())}")


@settings(derandomize=True, deadline=None)
@given(st.text(alphabet="a1 \n\\`*_[]()<>|#~!&;:/.-+=\"'{}$^@", max_size=30).filter(str.strip))
def test_no_text_is_markup(text: str) -> None:
    assert rendered(text) == (LIST, f"base: {' '.join(text.split())}")


# render()


@pytest.mark.parametrize("key", ["question", "reference", "answer", "document"])
def test_a_script_in_an_answer_is_text_on_the_page(key: str) -> None:
    tuned = answer("a", "tuned said") | {key: PLANTED}
    page = render("report.html", facts(examples=side_by_side([answer("a", "base said")], [tuned], 6)))
    assert PLANTED not in page
    reader = Reader(page)
    assert "script" not in reader.tags
    assert PLANTED in reader.text


@pytest.mark.parametrize("name", ["report.html", "summary.md"])
def test_a_script_in_the_name_of_a_file_or_model_is_text(name: str) -> None:
    values = facts(model=PLANTED)
    values["chunk"]["failed"] = {PLANTED: f"{PLANTED} cannot be read"}
    assert PLANTED not in render(name, values)


def test_markup_in_an_answer_is_text_in_the_summary() -> None:
    tuned = answer("a", "# no heading\n\n![x](http://a.example/x.png) | b", question=f"What is {PLANTED}?")
    summary = render("summary.md", facts(examples=side_by_side([answer("a", "base said")], [tuned], 6)))
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(summary)
    kinds = {child.type for token in tokens for child in token.children or []}
    assert not {"image", "link_open", "html_inline"} & kinds
    assert "html_block" not in {token.type for token in tokens}
    # The title, and the two sections.
    assert sum(token.type == "heading_open" for token in tokens) == 3


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = render("report.html", facts())
    assert not {"script", "link", "img", "iframe"} & set(Reader(page).tags)
    assert "http:" not in page
    assert "https:" not in page


@pytest.mark.parametrize("name", ["report.html", "summary.md"])
def test_every_figure_is_told(name: str) -> None:
    text = Reader(render(name, facts())).text if name.endswith("html") else render(name, facts())
    for figure in (
        "2 of 2 files, 9 of 9 pages",
        "kept 7 of 10; dropped: 2 too short, 1 duplicate",
        "kept 5 of 5",
        "3 of 7 chunks",
        "5 to train, 1 to validate, 2 held out",
        "8 of 80 parameters, 4 steps",
        "2.000 before, 1.235 after",
        "0.01 nats a token (33 tokens)",
        "tuned said",
        "base said",
        "ship.pdf, page 7",
    ):
        assert figure in text


def test_a_fact_that_is_missing_is_an_error_not_a_gap() -> None:
    values = facts()
    del values["merge"]["tokens"]
    with pytest.raises(UndefinedError, match="tokens"):
        render("report.html", values)


# gather()


def test_the_facts_are_read_from_the_stages_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = facts()
    for stage in ("chunk", "verify", "tokenize", "train", "merge"):
        write_json(Path(f"metrics/{stage}.json"), values[stage])
    one = {"value": 4.0, "low": None, "high": None}
    side, gap = {"perplexity": one}, {"perplexity": one | {"improvement": None, "detectable": None}}
    cell = {"base": side, "tuned": side, "difference": gap, "n": 1, "passages": 1}
    write_json(Path("metrics/score/perplexity.json"), {"open": cell})
    for model in ("base", "tuned"):
        jsonl.write(Path(f"evaluation/{model}.jsonl"), [answer("a", f"{model} said")])
    gathered = gather(["perplexity"], 6)
    assert {key: gathered[key] for key in ("chunk", "merge")} == {
        key: values[key] for key in ("chunk", "merge")
    }
    assert [row["figure"] for row in gathered["table"]] == ["perplexity"]
    assert [(row["base"], row["tuned"]) for row in gathered["examples"]] == [("base said", "tuned said")]
    assert "tuned said" in render("report.html", gathered | {"model": "m", "method": "lora"})


def test_a_stage_that_has_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FolioError, match=r"metrics/chunk\.json is missing; run `dvc repro`"):
        gather(["perplexity"], 6)
