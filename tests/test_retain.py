import json
import math
import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from stages import jsonl
from stages.account import Account
from stages.errors import FolioError
from stages.language_model import load_model, load_tokenizer
from stages.retain import encode, figures, in_turn, losses, read, sentence
from tests import tiny
from tests.imports import ROOT

WORDS = "the incident response team handles the incident and reports what it did to the organization".split()
TEXTS = [
    {"id": f"t{n}", "title": f"Title {n}", "text": " ".join(WORDS[n % 5 : n % 5 + 3 + n])} for n in range(7)
]


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> tuple[Any, Any]:
    return load_model(tiny_model, "float32"), load_tokenizer(tiny_model)


@pytest.fixture(scope="module")
def rows(loaded: tuple[Any, Any]) -> list[list[int]]:
    return encode(loaded[1], TEXTS, 512, Account("texts"))[1]


def one_by_one(model: Any, ids: list[int]) -> list[float]:
    """The loss of each token from the second on, each by a forward pass over what precedes it alone."""
    found = []
    for at in range(1, len(ids)):
        with torch.inference_mode():
            last = model(torch.tensor([ids[:at]])).logits[0, -1].double()
        found.append(float(last.logsumexp(0) - last[ids[at]]))
    return found


def flat(rows: list[list[float]]) -> list[float]:
    return [loss for row in rows for loss in row]


def perplexity(rows: list[list[float]]) -> float:
    return math.exp(sum(map(sum, rows)) / sum(map(len, rows)))


def test_perplexity_is_that_of_each_token_predicted_by_itself(
    loaded: tuple[Any, Any], rows: list[list[int]]
) -> None:
    model, tokenizer = loaded
    by_hand = [one_by_one(model, ids) for ids in rows]
    found = losses(model, rows, tokenizer.pad_token_id, 3)
    assert [len(row) for row in found] == [len(ids) - 1 for ids in rows]
    assert flat(found) == pytest.approx(flat(by_hand), abs=1e-5)
    _, whole = figures(TEXTS, {"base": found, "tuned": found}, 0)
    assert whole["base"]["perplexity"]["value"] == pytest.approx(perplexity(by_hand), rel=1e-5)


def test_the_batch_does_not_change_a_loss(loaded: tuple[Any, Any], rows: list[list[int]]) -> None:
    model, tokenizer = loaded
    alone = losses(model, rows, tokenizer.pad_token_id, 1)
    for batch in (2, 7, 100):
        together = losses(model, rows, tokenizer.pad_token_id, batch)
        assert flat(together) == pytest.approx(flat(alone), abs=1e-5)


def test_figures_worked_out_by_hand() -> None:
    # Base: 4 tokens of ln 2 each in one text, 2 of ln 8 in another: exp((4 ln 2 + 6 ln 2) / 6) = 2^(10/6).
    base = [[math.log(2)] * 4, [math.log(8)] * 2]
    tuned = [[math.log(2)] * 4, [math.log(32)] * 2]  # 2^(14/6)
    listed, whole = figures(TEXTS[:2], {"base": base, "tuned": tuned}, 0)
    assert whole["base"]["perplexity"]["value"] == pytest.approx(2 ** (10 / 6), abs=1e-6)
    assert whole["tuned"]["perplexity"]["value"] == pytest.approx(2 ** (14 / 6), abs=1e-6)
    assert whole["difference"]["perplexity"]["value"] == pytest.approx(
        2 ** (14 / 6) - 2 ** (10 / 6), abs=2e-6
    )
    assert whole["n"] == 2
    assert listed[3] == {
        "id": "t1", "title": "Title 1", "model": "tuned", "nats": round(2 * math.log(32), 4), "tokens": 2,
    }  # fmt: skip
    assert sentence(whole).startswith("perplexity on 2 general texts 3.17 -> 5.04 (+1.86 [")


def test_one_text_has_no_interval() -> None:
    _, whole = figures(TEXTS[:1], {"base": [[0.0]], "tuned": [[math.log(2)]]}, 0)
    assert whole["difference"]["perplexity"]["low"] is None
    assert sentence(whole) == "perplexity on 1 general texts 1.00 -> 2.00 (+1.00)"


def test_the_same_model_twice_forgot_nothing(loaded: tuple[Any, Any], rows: list[list[int]]) -> None:
    found = in_turn(lambda name: loaded[0], rows, loaded[1].pad_token_id, 2)
    gap = figures(TEXTS, found, 0)[1]["difference"]["perplexity"]
    assert gap["value"] == 0
    assert gap["low"] <= 0 <= gap["high"]


def test_another_model_differs_with_an_interval(
    tmp_path: Path, rows: list[list[int]], tiny_model: Path
) -> None:
    folders = {"base": tiny_model, "tuned": tiny.make(tmp_path / "other", seed=1)}
    found = in_turn(lambda name: load_model(folders[name], "float32"), rows, 0, 4)
    whole = figures(TEXTS, found, 0)[1]
    gap = whole["difference"]["perplexity"]
    assert gap["value"] == pytest.approx(perplexity(found["tuned"]) - perplexity(found["base"]), abs=1e-5)
    assert gap["low"] < gap["value"] < gap["high"]


def test_the_base_is_freed_before_the_tuned_model_is_loaded(tiny_model: Path, rows: list[list[int]]) -> None:
    seen: dict[str, Any] = {}

    def load_one(name: str) -> Any:
        if name == "tuned":
            assert seen["base"]() is None
        model = load_model(tiny_model, "float32")
        seen[name] = weakref.ref(model)
        return model

    in_turn(load_one, rows, 0, 4)
    assert list(seen) == ["base", "tuned"]


def test_a_broken_model_is_named(tiny_model: Path, rows: list[list[int]]) -> None:
    model = load_model(tiny_model, "float32")
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(math.nan)
    with pytest.raises(FolioError, match=r"the base model .* gives no number"):
        in_turn(lambda name: model, rows, 0, 4)


def test_a_long_text_is_cut_and_a_single_token_is_dropped_and_both_are_counted(
    loaded: tuple[Any, Any],
) -> None:
    tokenizer, account = loaded[1], Account("texts")
    ids = tokenizer(TEXTS[6]["text"])["input_ids"]
    kept, rows, truncated = encode(tokenizer, [*TEXTS[6:], {"id": "x", "text": "a"}], 4, account)
    assert (kept, rows, truncated) == (TEXTS[6:], [ids[:4]], len(ids) - 4)
    assert account.as_dict() == {"in": 2, "kept": 1, "dropped": {"too_short": 1}}


def test_bos_stands_once_where_the_tokenizer_puts_one_and_else_not_at_all(loaded: tuple[Any, Any]) -> None:
    from tokenizers.processors import TemplateProcessing

    plain = loaded[1]
    bare = encode(plain, TEXTS[:1], 9, Account("texts"))[1][0]
    assert plain.bos_token_id not in bare
    before = plain.backend_tokenizer.post_processor
    plain.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", plain.bos_token_id)]
    )
    try:
        assert encode(plain, TEXTS[:1], 99, Account("texts"))[1][0] == [plain.bos_token_id, *bare]
    finally:
        plain.backend_tokenizer.post_processor = before


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('{"id": "a", "text": "one two"}\n{"id": "b"}\n', "line 2 has no text"),
        ('{"text": "one two"}\n', "line 1 has no id"),
        ('{"id": 3, "text": "one two"}\n', "line 1 has no id"),
        ('{"id": "a", "text": "  "}\n', "line 1 has no text"),
        ('{"id": "a", "text": "one"}\n{"id": "a", "text": "two"}\n', "line 2 has the id of an earlier line"),
        ('{"id": "a", "text": "\\ud800"}\n', "line 1 holds what is no text in UTF-8"),
        ('{"id": "a", "text": "one"}\nnot json\n', "line 2 is no JSON"),
        ("", "holds no text; name another file as retain.texts"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, lines: str, words: str) -> None:
    source = tmp_path / "own.jsonl"
    source.write_text(lines, encoding="utf-8")
    with pytest.raises(FolioError, match=words) as caught:
        read(source)
    assert str(source) in str(caught.value)


def test_a_missing_file_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"^retain\.texts=.*none\.jsonl is no file"):
        read(tmp_path / "none.jsonl")


def test_the_stage_writes_its_figures_and_says_them(tmp_path: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "models/merged")
    jsonl.write(tmp_path / "own.jsonl", TEXTS)
    words = ["model=folder", f"model.path={tiny_model}", "model.dtype=float32", "retain.texts=own.jsonl"]
    own = {"PYTHONPATH": str(ROOT), "FOLIO_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "stages.retain", *words, "retain.maximum_tokens=8"],
        cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "retain: perplexity on 7 general texts" in done.stdout
    assert "(+0.00 [0.00, 0.00])" in done.stdout
    whole = json.loads((tmp_path / "metrics/retain.json").read_text(encoding="utf-8"))
    assert whole["difference"]["perplexity"]["value"] == 0
    assert whole["texts"] == {"in": 7, "kept": 7, "dropped": {}}
    listed = list(jsonl.read(tmp_path / "evaluation/retain.jsonl"))
    assert [(row["id"], row["model"]) for row in listed] == [
        (text["id"], model) for model in ("base", "tuned") for text in TEXTS
    ]
    assert sum(row["tokens"] for row in listed) == 2 * whole["tokens"]
    assert whole["truncated"] > 0


def test_the_shipped_texts_are_clean_and_their_sources_named() -> None:
    texts = read(ROOT / "data/general.jsonl")
    sources = (ROOT / "data/general.md").read_text(encoding="utf-8")
    assert 60 <= len(texts) <= 100
    for text in texts:
        assert list(text) == ["id", "title", "author", "source", "text"]
        assert 80 <= len(text["text"].split()) <= 200, text["id"]
        assert text["text"].rstrip("\"'”’)")[-1] in ".!?", text["id"]
        assert not set(text["text"]) & set("_[]{}*\r\t\u00ad\ufffd"), text["id"]
        assert "  " not in text["text"]
        assert "gutenberg" not in text["text"].lower()
        assert text["title"] in sources, text["title"]
