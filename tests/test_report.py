import base64
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markdown_it import MarkdownIt
from omegaconf import OmegaConf

from stages import entry, jsonl
from stages.artifact import read_json, write_json, write_text
from stages.errors import FolioError
from stages.report import curve, gather, is_higher_better, page, settling, table, tokenizers, unread
from stages.settings.report import Report
from stages.template import one_line, render
from tests.imports import ROOT
from tests.runs import CONTEXTS, METRICS, SQUAD, cell, write_run

PLANTED = "<script>alert(1)</script>"
SETTINGS = Report(main="squad.f1", forgetting=0.05, answers=500, examples=3)
OWN = {"model": "some/model", "method": "lora", "fertility": [], "settings": "seed: 0\n"}


class Reader(HTMLParser):
    """The elements and the text of a page, as a browser reads them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def facts(options: Report = SETTINGS, **own: Any) -> dict[str, Any]:
    return gather(options, ["squad"]) | OWN | own


def change(file: str, **values: Any) -> None:
    write_json(Path(file), read_json(Path(file)) | values)


# table(), settling()


def test_the_table_has_a_row_per_context_and_figure() -> None:
    scores = {
        "perplexity": {"closed": cell("perplexity", 9.0, (-6.0, -7.0, -5.0), 1.0)},
        "squad": {"open": cell("f1", 0.5, (0.5, 0.4, 0.6), 1.0, n=2, passages=2, not_measured=3)}
        | {"trained": {"n": 0, "passages": 0}},
    }
    keys = ("figure", "context", "n", "not_measured", "base", "tuned", "outcome", "clean")
    # With the passage first; a figure that is called as its metric does not say so twice.
    assert [tuple(row[key] for key in keys) for row in table(scores)] == [
        ("squad f1", "with the passage", 2, 3, 0.5, 1.0, "better", None),
        ("perplexity", "without the passage", 62, 0, 9.0, 3.0, "better", None),
    ]
    assert table(scores)[0]["base_range"] == (None, None)
    by = {"bertscore": {"open": cell("bertscore", 0.5, (0.5, 0.4, 0.6), 1.0, by="some-embedder, layer 5")}}
    assert [row["by"] for row in [*table(by), *table(scores)]] == ["some-embedder, layer 5", "", ""]


def test_figures_without_the_leaked_questions_stand_beside_the_others() -> None:
    without = cell("f1", 0.4, (0.2, 0.1, 0.3), 1.0, n=60)
    (row,) = table({"squad": {"open": SQUAD["open"] | {"clean": without}}})
    assert row["clean"] == {"n": 60, "difference": without["difference"]["f1"]}
    (row,) = table({"squad": {"open": SQUAD["open"] | {"clean": {"n": 0, "passages": 0}}}})
    assert row["clean"] is None


def test_settling_has_the_differences_of_growing_samples() -> None:
    few = cell("f1", 0.4, (0.1, -0.5, 0.7), 0.6, n=10)
    found = settling({"squad": {"open": SQUAD["open"] | {"settling": [few, {"n": 0}, SQUAD["open"]]}}})
    assert [(step["n"], step["value"]) for row in found for step in row["steps"]] == [(10, 0.1), (62, 0.3)]


def test_which_side_is_better_is_what_the_metric_says_whatever_the_draws_do() -> None:
    # The draws alone would say of a model that got worse that more is better.
    worse = cell("f1", 9.0, (3.0, -1, 7), 0.1)
    scores = {"squad": dict.fromkeys(CONTEXTS, worse), "loss": {"open": worse | {"lower_is_better": ["f1"]}}}
    assert is_higher_better(scores, "squad.f1")
    assert not is_higher_better(scores, "loss.f1")
    assert is_higher_better(scores, "loss.other")
    assert is_higher_better(scores, "absent.f1")


# curve(), unread()


def test_a_curve_leaves_out_what_is_no_number(run: Path) -> None:
    write_text(Path("plots/train/plots/metrics/train/loss.tsv"), "step\tloss\n1\tnan\n2\t1.5\n3\tinf\n")
    assert curve("train/loss") == ([2.0], [1.5])
    assert curve("none") is None


@pytest.mark.parametrize("text", ["step\tother\n1\t2\n", "step\tloss\n1\tx\n", "step\tloss\n1\n"])
def test_a_damaged_curve_is_named(run: Path, text: str) -> None:
    write_text(Path("plots/train/plots/metrics/train/loss.tsv"), text)
    with pytest.raises(FolioError, match=r"train/loss\.tsv is no training curve"):
        curve("train/loss")


def test_of_many_unread_files_the_first_are_named() -> None:
    found = unread({f"{n}.pdf": f"{n}.pdf cannot be read" for n in range(25)})
    assert (len(found["named"]), found["left"]) == (20, 5)


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


# the page


def test_the_page_tells_the_run(run: Path) -> None:
    words = Reader(page(facts())).words
    for told in (
        "Did tuning help? Tuning helped: with the passage squad f1 rose from 0.400 to 0.700",
        "lora on some/model; 8 of 80 parameters learnt in 4 steps.",
        "5 questions to train, 1 to validate, 2 held out",
        "Validation loss was 2.000 before and 1.235 after, on 1 row",
        "Train: 2.500 at step 1, 1.500 at step 2, lowest 1.500 at step 2.",
        "Chunks 7 10 too short 2, duplicate 1",
        "4 of 6 answers of the base, 1 of 6 of the tuned model",
        "0 answers kept the pattern. From base to tuned: 2 too verbose → right.",
        "Perplexity on 80 general texts rose from 20.0 to 20.5",
        "None of 2 held-out questions was seen in training, nor its passage.",
        "Who commands a? ship.pdf, page 7, with passage The captain. The ship. too verbose "
        "The captain. right better",
        "No stage has run under DVC in this folder",
        "python 3.",
        "Settings (params.yaml) seed: 0",
    ):
        assert told in words, told


def test_only_the_pages_own_script_may_run_and_nothing_is_loaded(run: Path) -> None:
    text = page(facts())
    reader = Reader(text)
    policy = next(one["content"] for one in reader.of("meta") if "http-equiv" in one)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in reader.elements}
    assert not re.search(r"https?:|url\((?!#)|@import", text)
    assert not [
        name for _, found in reader.elements for name in found if name.startswith("on") or name == "src"
    ]


def test_the_page_is_well_made(run: Path) -> None:
    reader = Reader(page(facts()))
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [found["id"] for _, found in reader.elements if "id" in found]
    assert len(ids) == len(set(ids))
    links = {found["href"][1:] for found in reader.of("a") if found["href"].startswith("#")}
    assert links <= set(ids)
    assert len(reader.of("caption")) == len(reader.of("table"))
    assert all(found.get("scope") in ("row", "col") for found in reader.of("th"))
    assert "../data/raw/ship.pdf#page=7" in {found.get("href") for found in reader.of("a")}


@pytest.mark.parametrize("key", ["question", "reference", "answer", "document"])
def test_a_script_in_an_answer_is_text_on_the_page(run: Path, key: str) -> None:
    write_run(run, **{key: PLANTED})
    text = page(facts())
    assert PLANTED not in text
    assert len(Reader(text).of("script")) == 1
    assert PLANTED in Reader(text).text


def test_a_script_elsewhere_is_text(run: Path) -> None:
    change("metrics/chunk.json", failed={PLANTED: f"{PLANTED} cannot be read"})
    change("metrics/verify.json", pairs={"in": 2, "kept": 1, "dropped": {PLANTED: 1}})
    leak = {"id": "a", "question": PLANTED, "reasons": [PLANTED], "closest": {"id": "b", "question": PLANTED}}
    jsonl.write(Path("data/leaks.jsonl"), [leak])
    failures = Path("evaluation/failures.jsonl")
    jsonl.write(failures, [row | {"pattern": PLANTED} for row in list(jsonl.read(failures))])
    values = facts(model=PLANTED, settings=f"model: {PLANTED}")
    for text in (page(values), render("summary.md", values)):
        assert PLANTED not in text


def test_answers_beyond_the_bound_are_counted(run: Path) -> None:
    few = Report(main="squad.f1", forgetting=0.05, answers=2, examples=0)
    reader = Reader(page(facts(few)))
    assert len([found for found in reader.of("tr") if "data-context" in found]) == 2
    assert "4 more stand in evaluation/base.jsonl" in reader.words
    assert "answers to questions drawn by lot" not in Reader(page(facts())).words


def test_leaks_and_forgetting_are_told(run: Path) -> None:
    affected = {"in": 2, "clean": 1, "affected": 1}
    change("metrics/audit.json", questions=affected, reasons={"near_question": 1})
    closest = {"id": "c", "question": "Who commanded?", "similarity": 0.96}
    leak = {"id": "a", "question": "Who commands a?", "reasons": ["near_question"]}
    other = leak | {"question": "Who else?", "closest": None}
    jsonl.write(Path("data/leaks.jsonl"), [leak | {"closest": closest}, *[other] * 60])
    write_json(Path("metrics/retain.json"), cell("perplexity", 20.0, (2.0, 1.0, 3.0), 0.0, n=80))
    words = Reader(page(facts())).words
    assert "Leakage: 1 of 2 held-out questions, or its passage, was seen in training" in words
    assert "Who commands a? near question Who commanded? 0.960" in words
    assert "Who else? near question – –" in words
    assert "11 questions more in data/leaks.jsonl" in words
    assert "Forgetting: perplexity on 80 general texts rose from 20.0 to 22.0" in words
    assert "That is forgetting by report.forgetting" in words


def test_too_few_passages_give_no_interval_and_a_page(run: Path) -> None:
    tiny = {name: cell("f1", 0.4, (0.1, None, None), None, n=1, passages=1) for name in CONTEXTS}
    write_json(Path("metrics/score/squad.json"), tiny)
    write_json(Path("metrics/retain.json"), {"n": 0, "passages": 0})
    words = Reader(page(facts())).words
    assert "Too few questions to tell" in words
    assert "Perplexity on general text was not measured." in words


def test_a_metric_that_measured_nothing_leaves_a_page_without_a_verdict(run: Path) -> None:
    write_json(Path("metrics/score/squad.json"), {name: {"n": 0, "passages": 0} for name in CONTEXTS})
    assert "No verdict: no figure could be measured" in Reader(page(facts())).words


def test_a_run_that_did_not_measure_the_main_figure_has_a_page(run: Path) -> None:
    less = {name: cell("perplexity", 9.0, (-3.0, -4.0, -2.0), 1.0) for name in CONTEXTS}
    write_json(Path("metrics/score/perplexity.json"), less)
    words = Reader(page(gather(SETTINGS, ["perplexity"]) | OWN)).words
    assert "No verdict: squad.f1 (report.main) was not measured" in words
    assert "perplexity with the passage 9.000 6.000 -3.000 [-4.000, -2.000] better 100.0%" in words
    assert "Tuned is" not in words


def test_without_curves_the_page_says_so(run: Path) -> None:
    shutil.rmtree("plots")
    assert "No curve was written." in Reader(page(facts())).words


def test_a_tokenizer_of_ones_own_is_compared_where_this_run_has_trained_it(run: Path) -> None:
    figures = {"tokens": 30, "unknown": 0, "per_word": 1.5, "per_character": 0.25, "per_byte": 0.24}
    none = dict.fromkeys(("per_word", "per_character", "per_byte"))
    side = {"texts": 9, "words": 20, "own": figures, "stock": figures | {"per_word": 1.25, "unknown": 3}}
    empty = {"texts": 0, "words": 0} | dict.fromkeys(("own", "stock"), {"tokens": 0, "unknown": 0} | none)
    made = {"stock": PLANTED, "vocabularies": {"own": 4000, "stock": 49152}}
    write_json(run / "metrics/create.json", made | {"fertility": {"train": side, "held_out": empty}})
    # The file of an earlier run says nothing of a model that was not made here.
    assert tokenizers("embedded") == []
    values = facts(fertility=tokenizers("scratch"))
    words = Reader(page(values)).words
    assert "training texts own 4,000 1.500 0.250 0.240 0 20 words" in words
    assert "held-out texts own 4,000 – – – 0 0 words" in words
    assert PLANTED not in page(values)
    summary = render("summary.md", values)
    assert (
        "Tokenizer own, 4000 tokens: 1.500 tokens per word of the training texts (n = 20 words)." in summary
    )
    assert PLANTED not in summary
    assert "held-out texts (n" not in summary
    (run / "metrics/create.json").unlink()
    assert tokenizers("scratch") == []


# the summary


def test_the_summary_leads_with_the_verdict_and_stays_short(run: Path) -> None:
    summary = render("summary.md", facts())
    assert summary.startswith(
        "# Did tuning help?\n\nTuning helped: with the passage squad f1 rose from 0.400"
    )
    for told in (
        "- Read: 2 of 2 files, 9 of 9 pages.",
        "kept 7 of 10; dropped: 2 too short, 1 duplicate (3 of 7 chunks have one)",
        "5 to train, 1 to validate, 2 held out",
        "lora on some/model, 8 of 80 parameters, 4 steps",
        "2.000 before, 1.235 after",
        "0.01 nats a token (33 tokens)",
        "- Forgetting: perplexity on 80 general texts rose",
        "- Leakage: none of 2 held-out questions was seen in training, nor its passage.",
        "- Failures with the passage, base to tuned: right 0 to 2, too verbose 2 to 0.",
        "| squad f1 | with the passage | 0.400 | 0.700 | +0.300 [0.200, 0.400] | 100.0% | 62 |",
        "- tuned: The captain.",
        "(ship.pdf, page 7)",
    ):
        assert told in summary, told
    assert len(summary.splitlines()) < 60


def test_markup_in_an_answer_is_text_in_the_summary(run: Path) -> None:
    write_run(run, answer="# no heading\n\n![x](http://a.example/x.png) | b", question=f"What is {PLANTED}?")
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(render("summary.md", facts()))
    kinds = {child.type for token in tokens for child in token.children or []}
    assert not {"image", "link_open", "html_inline"} & kinds
    assert "html_block" not in {token.type for token in tokens}
    # The title, and the three sections.
    assert sum(token.type == "heading_open" for token in tokens) == 4


# gather()


@pytest.mark.parametrize(("file", "key"), [("merge", "tokens"), ("train", "steps")])
def test_a_fact_that_is_missing_is_an_error_not_a_gap(run: Path, file: str, key: str) -> None:
    figures = dict(METRICS[file])
    del figures[key]
    write_json(Path(f"metrics/{file}.json"), figures)
    with pytest.raises(UndefinedError, match=key):
        page(facts())


@pytest.mark.parametrize(
    "file",
    ["metrics/chunk.json", "metrics/retain.json", "data/leaks.jsonl", "evaluation/failures.jsonl",
     "evaluation/base.jsonl", "metrics/score/squad.json", "evaluation/scores/squad.jsonl"],
)  # fmt: skip
def test_a_stage_that_has_not_run_is_named(run: Path, file: str) -> None:
    Path(file).unlink()
    with pytest.raises(FolioError, match=re.escape(f"{file} is missing; run `dvc repro`")):
        facts()


# the stage, and the note of its time


def stage(run: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    params = OmegaConf.load(ROOT / "params.yaml")
    params.metric = {"squad": params.metric.squad}
    write_text(run / "params.yaml", OmegaConf.to_yaml(params))
    return subprocess.run(
        [sys.executable, "-m", "stages.report", "-cp", str(run), "-cn", "params"],
        cwd=run,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stage_writes_both_and_notes_its_time_under_dvc_alone(run: Path) -> None:
    done = stage(run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# Did tuning help?")
    assert done.stdout.strip() == (run / "report/summary.md").read_text(encoding="utf-8").strip()
    first = (run / "report/index.html").read_bytes()
    assert not (run / entry.SECONDS).exists()
    # The same files give the same bytes; a note of an earlier run is shown.
    noted = stage(run, DVC_STAGE="report")
    assert noted.returncode == 0, noted.stderr
    assert (run / "report/index.html").read_bytes() == first
    note = read_json(run / entry.SECONDS / "report.json")
    assert note["stage"] == "report"
    assert 0 < note["seconds"] < 60
    write_json(run / entry.SECONDS / "score@squad.json", {"stage": "score@squad", "seconds": 1234.56})
    words = Reader(page(facts())).words
    assert re.search(r"score@squad 1,234\.6 report \d", words)


def test_a_stage_that_fails_notes_no_time_nor_does_a_process_beside_the_first(run: Path) -> None:
    (run / "metrics/merge.json").unlink()
    failed = stage(run, DVC_STAGE="report")
    assert failed.returncode == 1
    assert "folio: metrics/merge.json is missing; run `dvc repro`" in failed.stderr
    write_json(run / "metrics/merge.json", METRICS["merge"])
    assert stage(run, DVC_STAGE="report", RANK="1").returncode == 0
    assert not (run / entry.SECONDS).exists()


def test_a_note_that_cannot_be_written_fails_no_stage(run: Path) -> None:
    (run / ".dvc").write_text("a file where a folder should be", encoding="utf-8")
    done = stage(run, DVC_STAGE="report")
    assert done.returncode == 0, done.stderr
