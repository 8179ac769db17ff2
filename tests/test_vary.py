import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from markdown_it import MarkdownIt
from omegaconf import OmegaConf

from stages import jsonl
from stages.compose import shape, validate
from stages.errors import FolioError
from stages.evaluate import ask
from stages.language_model import load_model, load_tokenizer
from stages.metric.squad import Squad
from stages.overlap import repeated_share, running_words
from stages.settings.evaluate import Evaluate
from stages.settings.vary import Decoding, Vary
from stages.template import render
from stages.vary import (
    COLUMNS,
    Trial,
    by_question,
    compare,
    consistency,
    examples,
    how,
    table,
    vary,
)
from tests.forms import CHAT
from tests.imports import ROOT

PLANTED = "<script>alert(1)</script>"
SQUAD = Squad(name="squad")


class Reader(HTMLParser):
    """The elements of a page and its text, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data


def decoding(name: str, temperature: float = 0.0, **changes: Any) -> Decoding:
    plain = {"top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}
    return Decoding(name=name, temperature=temperature, **plain | changes)


def settings(*ways: Decoding, **changes: Any) -> Vary:
    plain = {"seeds": [0, 1], "questions": 9, "maximum_tokens": 6, "examples": 2, "seed": 0}
    return Vary(models=["tuned"], settings=list(ways), **plain | changes)


def asking(**changes: Any) -> Evaluate:
    knobs = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0, "seed": 0}
    most = {"maximum_tokens": 9, "maximum_questions": 9, "maximum_trained": 9, "control": None}
    return Evaluate(model="tuned", batch=3, bits=16, **knobs | most | changes)


def pair(number: int) -> dict[str, Any]:
    return {
        "id": f"{number}", "chunk": f"c{number // 2}", "document": "d.pdf", "pages": [1, 2],
        "passage": "the incident response team " * (number // 2 + 1), "question": f"What is {number}?",
        "answer": "the incident",
    }  # fmt: skip


def row(name: str, said: str, seed: int | None = None, **changes: Any) -> dict[str, Any]:
    plain = {"chunk": f"c{name}", "document": "ship.pdf", "pages": [7, 7], "question": "Who?"}
    rest = {"reference": "red cat", "cut_off": False, "tokens": 3}
    return {"id": name, "seed": seed, "answer": said} | plain | rest | changes


def trial(way: Decoding, *rows: dict[str, Any]) -> Trial:
    return Trial(way, list(rows), {"seconds": 2.0, "tokens_per_second": 30.0})


# vary()

PAIRS = [pair(n) for n in range(5)]
WAYS = (
    decoding("greedy"),
    decoding("penalty", repetition_penalty=5.0),
    decoding("hot", 1.5),
    decoding("nucleus", 1.5, top_p=0.5),
    decoding("only", 1.5, top_k=1),
)


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> tuple[Any, Any]:
    return load_model(tiny_model, "float32"), load_tokenizer(tiny_model)


@pytest.fixture(scope="module")
def trials(loaded: tuple[Any, Any]) -> dict[str, Trial]:
    return {one.decoding.name: one for one in vary(*loaded, CHAT, PAIRS, settings(*WAYS), asking())}


def texts(one: Trial) -> list[list[str]]:
    """The answers of each seed."""
    said = [row["answer"] for row in one.answers]
    return [said[start : start + len(PAIRS)] for start in range(0, len(said), len(PAIRS))]


def test_every_question_is_asked_once_greedily_and_once_for_each_seed(trials: dict[str, Trial]) -> None:
    ids = [one["id"] for one in PAIRS]
    assert list(trials) == [way.name for way in WAYS]
    for name, seeds in (("greedy", [None]), ("penalty", [None]), ("hot", [0, 1])):
        rows = trials[name].answers
        assert [(row["seed"], row["id"]) for row in rows] == [(seed, i) for seed in seeds for i in ids]
        assert {(row["setting"], row["context"]) for row in rows} == {(name, "open")}


def test_greedy_answers_are_those_of_the_evaluation(
    trials: dict[str, Trial], loaded: tuple[Any, Any]
) -> None:
    asked = ask(*loaded, CHAT, [(one, "open") for one in PAIRS], asking(maximum_tokens=6))
    assert texts(trials["greedy"]) == [[row["answer"] for row in asked]]
    # Of the likeliest token alone nothing can be drawn but that token.
    assert texts(trials["only"]) == texts(trials["greedy"]) * 2


def test_a_seed_draws_the_same_again_and_another_seed_draws_others(
    trials: dict[str, Trial], loaded: tuple[Any, Any]
) -> None:
    first, second = texts(trials["hot"])
    assert first != second
    (alone,) = vary(*loaded, CHAT, PAIRS, settings(WAYS[2], seeds=[1]), asking())
    # Whatever was asked before: the seed alone decides.
    assert texts(alone) == [second]
    assert texts(trials["nucleus"]) != texts(trials["hot"])


def test_a_penalty_forbids_what_stood_there(trials: dict[str, Trial]) -> None:
    assert texts(trials["penalty"]) != texts(trials["greedy"])
    assert max(repeated_share(running_words(row["answer"]), 4) for row in trials["penalty"].answers) == 0


def test_the_speed_is_that_of_asking_everything_once(trials: dict[str, Trial]) -> None:
    speed, rows = trials["hot"].speed, trials["hot"].answers
    assert set(speed) == {"seconds", "tokens_per_second"}
    written = sum(row["tokens"] for row in rows)
    # Two seeds; seconds are told to one digit before they are halved.
    assert abs(2 * speed["seconds"] - written / speed["tokens_per_second"]) < 0.06


# the figures, by hand


def test_consistency_by_hand() -> None:
    # Without their articles: red cat, red dog, red cat. Of the three pairs two share one word of two: F1 1/2.
    one = [row("1", said, seed) for seed, said in enumerate(["the red cat", "a red dog", "red cat"])]
    other = [row("2", "yes", seed) for seed in range(3)]
    assert consistency(SQUAD, one) == {"f1": pytest.approx(2 / 3, abs=1e-6), "identical": 0}
    both = {"f1": pytest.approx((2 / 3 + 1) / 2, abs=1e-6), "identical": 0.5}
    assert consistency(SQUAD, one + other) == both


def test_of_one_answer_there_is_no_consistency() -> None:
    assert consistency(SQUAD, [row("1", "red cat"), row("2", "red cat")]) is None


def test_a_question_counts_once_whatever_the_number_of_seeds() -> None:
    rows = [row("1", "red cat", 0), row("2", "dog", 0), row("1", "dog", 1), row("2", "dog", 1)]
    found = by_question(SQUAD, rows)
    assert found.columns["f1"].tolist() == [0.5, 0]
    assert found.columns["exact"].tolist() == [0.5, 0]
    assert found.passages == ["c1", "c2"]


def test_the_figures_of_two_settings_by_hand() -> None:
    greedy = trial(decoding("greedy"), row("1", "red cat"), row("2", "dog", cut_off=True))
    said = [("1", "red cat", 0), ("2", "red dog", 0), ("1", "red cat", 1), ("2", "go " * 5, 1)]
    hot = trial(decoding("hot", 1.0), *(row(*one) for one in said))
    found = compare([greedy, hot], seed=0)
    first, second = found["greedy"], found["hot"]
    assert (first["f1"]["value"], first["exact"]["value"]) == (0.5, 0.5)
    # Question 2: F1 1/2 and 0, a mean of 1/4.
    assert (second["f1"]["value"], second["exact"]["value"]) == (0.625, 0.5)
    assert second["difference"]["f1"]["value"] == 0.125
    assert second["difference"]["exact"]["value"] == 0
    assert first["difference"] is first["consistency"] is None
    assert second["consistency"] == {"f1": 0.5, "identical": 0.5}
    assert (first["words"], first["cut_off"], first["repetition"]) == (1.5, 0.5, 0)
    # Two, two, two and five words; of the last one's two runs one is repeated.
    assert (second["words"], second["cut_off"], second["repetition"]) == (2.75, 0, 0.125)
    assert (first["answers"], second["answers"]) == (2, 4)
    assert second["temperature"] == 1.0
    assert first["f1"]["low"] <= 0.5 <= first["f1"]["high"]
    json.dumps(found, allow_nan=False)


def test_of_one_passage_there_is_no_interval() -> None:
    found = compare([trial(decoding("greedy"), row("1", "red cat"))], seed=0)
    assert found["greedy"]["f1"] == {"value": 1.0, "low": None, "high": None}
    assert table(found)[0]["cells"][0] == {"text": "1.000", "range": "", "best": False}


# table()


def best(rows: list[dict[str, Any]], title: str) -> list[bool]:
    at = [column.title for column in COLUMNS].index(title)
    return [row["cells"][at]["best"] for row in rows]


def test_the_best_of_a_column_is_marked_and_only_where_there_is_one() -> None:
    good = trial(decoding("greedy"), row("1", "red cat"), row("2", "red"))
    same = replace(good, decoding=decoding("again", repetition_penalty=1.1))
    bad = trial(decoding("hot", 1.0), row("1", "dog", 0, cut_off=True), row("2", "dog", 0))
    rows = table(compare([good, same, bad], seed=0))
    assert best(rows, "F1") == [True, True, False]
    assert best(rows, "Cut off") == [True, True, False]
    # More words are no merit; equal seconds neither; no setting has two seeds.
    for title in ("Words", "Seconds", "F1 between seeds", "F1 less the first"):
        assert best(rows, title) == [False] * 3
    assert rows[0]["cells"][1] == {"text": "–", "range": "", "best": False}
    assert rows[2]["cells"][1]["text"].startswith("-0.8")


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (decoding("a"), "likeliest token"),
        (decoding("a", repetition_penalty=1.2), "likeliest token, repetition penalty 1.2"),
        (decoding("a", control="bad"), "likeliest token, asked as bad"),
        (decoding("a", 0.7, top_p=0.9), "temperature 0.7, top-p 0.9"),
        (decoding("a", 1.0, top_k=20, repetition_penalty=2), "temperature 1, top-k 20, repetition penalty 2"),
    ],
)  # fmt: skip
def test_a_setting_in_words(way: Decoding, words: str) -> None:
    assert how(way.knobs()) == words


# the page


def facts(*tried: Trial, **changes: Any) -> dict[str, Any]:
    counts = {
        "questions": {"in": 9, "kept": 2, "dropped": {"not_sampled": 7}},
        "passages": 2,
        "seeds": [0, 1],
    }
    rows, shown = table(compare(tried, seed=0)), examples(tried, 4)
    return counts | {"model": "tuned", "columns": COLUMNS, "rows": rows, "examples": shown} | changes


def two(**changes: Any) -> list[Trial]:
    greedy = trial(decoding("greedy"), row("1", "red cat", **changes), row("2", "dog"))
    drawn = [("1", "red", 0), ("2", "cat", 0), ("1", "red", 1), ("2", "", 1)]
    return [greedy, trial(decoding("hot", 1.0), *(row(*one) for one in drawn))]


def test_answers_stand_under_their_settings_and_seeds_that_agree_together() -> None:
    shown = examples(two(), 9)
    assert [one["id"] for one in shown] == ["1", "2"]
    assert shown[0]["said"] == [("greedy", "red cat", [None]), ("hot", "red", [0, 1])]
    assert shown[1]["said"] == [("greedy", "dog", [None]), ("hot", "cat", [0]), ("hot", "", [1])]
    assert shown[0]["where"] == "ship.pdf, page 7"
    assert examples(two(), 1) == shown[:1]


def test_the_page_tells_every_figure_and_names_the_best_in_text() -> None:
    page = render("decoding.html", facts(*two()))
    text = " ".join(Reader(page).text.split())
    for words in (
        "2 held-out questions",
        "0.500",
        "best",
        "seeds 0, 1 red",
        "seed 1 (empty)",
        "temperature 1",
    ):
        assert words in text
    assert not {"script", "link", "img", "iframe"} & set(Reader(page).tags)
    assert "http:" not in page
    assert "https:" not in page


@pytest.mark.parametrize("key", ["answer", "question", "reference", "document"])
def test_a_script_in_what_a_model_or_a_document_says_is_text(key: str) -> None:
    rows = two()
    rows[0].answers[0][key] = PLANTED
    page = render("decoding.html", facts(*rows))
    assert PLANTED not in page
    assert "script" not in Reader(page).tags
    assert PLANTED in Reader(page).text


def test_an_endless_answer_does_not_fill_the_page() -> None:
    rows = two()
    rows[0].answers[0]["answer"] = "go " * 100_000
    assert len(render("decoding.html", facts(*rows))) < 20_000


def test_the_printed_table_is_a_table() -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(render("decoding.md", facts(*two())))
    assert [token.type for token in tokens].count("tr_open") == 3
    cells = [token.type for token in tokens].count("td_open")
    assert cells == 2 * (2 + len(COLUMNS))


# conf/


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra_compose("config", list(overrides))


ROW = "{name: a, temperature: 0.5, top_p: 1.0, top_k: 0, repetition_penalty: 1.0}"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            f"vary.settings=[{ROW.replace('0.5, top_p: 1.0', '0.0, top_p: 0.9')}]",
            "vary.settings, a: temperature=0 takes the likeliest token, so that top_p=0.9",
        ),
        ("evaluate.top_k=20", "evaluate: temperature=0 takes the likeliest token, so that"),
        (f"vary.settings=[{ROW}, {ROW}]", "vary.settings holds a twice"),
        (f"vary.settings=[{ROW.replace('top_p', 'topp')}]", "vary.settings, a: topp is not a setting"),
        (f"vary.settings=[{ROW.replace('top_k: 0, ', '')}]", "vary.settings.0.top_k is missing"),
        (f"vary.settings=[{ROW.replace('0.5', '-1.0')}]", "vary.settings.0.temperature=-1.0: input"),
        (f"vary.settings=[{ROW.replace('name: a', 'name: a/b')}]", "vary.settings.0.name='a/b': string"),
        ("vary.settings=[]", "vary.settings=[]: list should have at least 1 item"),
        ("vary.models=[base,tune]", "vary.models.1='tune': input should be 'base' or 'tuned'"),
        ("vary.models=[base,base]", "vary.models holds base twice"),
        ("vary.seeds=[0,1,0]", "vary.seeds holds 0 twice"),
        ("vary.seeds=[-1]", "vary.seeds.0=-1: input should be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_a_setting_that_means_nothing_is_refused_in_words(override: str, sentence: str) -> None:
    with pytest.raises(FolioError) as error:
        validate(composed(override))
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(
    ("overrides", "models"),
    [([], []), (["experiment=decoding"], ["tuned"]), (["vary.models=[base,tuned]"], ["base", "tuned"])],
)
def test_the_recipe_makes_a_stage_for_each_model_and_the_default_run_none(
    tmp_path: Path, overrides: list[str], models: list[str]
) -> None:
    Repo.init(str(tmp_path), no_scm=True).close()
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    chosen, pipeline = composed(*overrides), (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert (shape(chosen, pipeline) == shape(composed(), pipeline)) == (not models)
    OmegaConf.save(chosen, tmp_path / "params.yaml", resolve=True)
    with Repo(str(tmp_path)) as repo:
        found = {stage.name: stage for stage in repo.index.stages}
    assert sorted(name for name in found if name.startswith("vary")) == [f"vary@{model}" for model in models]
    for model in models:
        assert found[f"vary@{model}"].cmd.endswith(f"evaluate.model={model}")


# main()


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    own = {"FOLIO_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "stages.vary", "evaluate.model=base", "model=folder", *words],
        cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_stage_writes_answers_figures_and_page(tmp_path: Path, tiny_model: Path) -> None:
    jsonl.write(tmp_path / "data/test.jsonl", PAIRS)
    ways = f"vary.settings=[{ROW},{ROW.replace('0.5', '0.0').replace('name: a', 'name: b')}]"
    few = ("vary.questions=3", "vary.seeds=[3,4]", "vary.maximum_tokens=5", "vary.examples=1", ways)
    done = run(tmp_path, f"model.path={tiny_model}", "model.dtype=float32", *few)
    assert done.returncode == 0, done.stderr
    assert "| a | temperature 0.5 |" in done.stdout

    rows = list(jsonl.read(tmp_path / "evaluation/decoding/base.jsonl"))
    assert [(row["setting"], row["seed"]) for row in rows] == [
        *[("a", 3)] * 3, *[("a", 4)] * 3, *[("b", None)] * 3,
    ]  # fmt: skip
    keys = {"setting", "seed", "id", "question", "reference", "answer", "tokens", "cut_off", "chunk", "pages"}
    assert keys < set(rows[0])
    assert "passage" not in rows[0]

    figures = json.loads((tmp_path / "metrics/vary/base.json").read_text(encoding="utf-8"))
    assert figures["questions"] == {"in": 5, "kept": 3, "dropped": {"not_sampled": 2}}
    assert figures["passages"] == len({row["chunk"] for row in rows})
    assert list(figures["settings"]) == ["a", "b"]
    page = (tmp_path / "report/decoding-base.html").read_text(encoding="utf-8")
    assert Reader(page).tags.count("article") == 1


def test_without_questions_the_stage_says_what_to_do(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "data/test.jsonl", [])
    done = run(tmp_path, f"model.path={tmp_path}")
    assert done.returncode == 1
    assert done.stderr == "folio: data/test.jsonl holds no question; raise tokenize.test_share above 0\n"
