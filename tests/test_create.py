import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stages import cache, jsonl, split
from stages.account import Account
from stages.artifact import read_json
from stages.byte_pairs import train_tokenizer
from stages.create import corpus, random_model, sampled, write
from stages.decode import Decoder
from stages.errors import FolioError
from stages.evaluate import fitting
from stages.likelihood import Labelled, label_losses, obstacle, pair_cost
from stages.packing import pack
from stages.settings.tokenize import Tokenize
from stages.tokens import Row
from stages.tree_attention import register
from tests.checkout import Checkout
from tests.forms import CHAT
from tests.imports import ROOT
from tests.model.test_scratch import scratch

SPLIT: dict[str, Any] = {
    "test_share": 0.3, "validation_share": 0.2, "context_share": 0.5, "maximum_tokens": 256,
    "keep_share": 0.5, "seed": 0, "folds": 0, "fold": 0, "sources": ["pairs"], "held_out": [], "weights": {},
}  # fmt: skip
TASKS = ("commands the ship", "keeps the log", "repairs the engine", "cooks for the crew", "stands the watch")


def record(number: int, **changes: Any) -> dict[str, Any]:
    day, who = number // 2, f"member {number % 40} of the crew"
    return {
        "id": f"{number:016x}", "chunk": f"c{day}", "document": "crew.csv", "line": number + 1,
        "source": "pairs", "pages": [1, 1],
        "passage": f"The list of day {day}: member {2 * day % 40} commands the ship.",
        "question": f"What does {who} do on day {day}?", "answer": f"{who} {TASKS[number % 5]}.",
    } | changes  # fmt: skip


RECORDS = [record(n) for n in range(80)]
TEXTS = [record[key] for record in RECORDS for key in ("passage", "question", "answer")]


# The corpus


def test_the_corpus_is_the_training_side_with_each_text_once() -> None:
    account = Account("records")
    sides = corpus(RECORDS, Tokenize(**SPLIT), account)
    tally = account.as_dict()
    assert tally["in"] == 80
    assert tally["kept"] == 80 - tally["dropped"]["test"] - tally["dropped"]["validation"]
    assert len(set(sides["train"])) == len(sides["train"])
    passages = [text for text in sides["train"] if text.startswith("The list")]
    assert 2 * len(passages) == tally["kept"]
    assert not set(sides["train"]) & set(sides["held_out"])
    # What validates is neither learnt from nor measured.
    held = [text for text in sides["held_out"] if text.startswith("The list")]
    assert 2 * len(held) == tally["dropped"]["test"]


def test_everything_of_a_record_that_a_model_meets_is_there() -> None:
    history = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    chunk = next(name for name in map(str, range(99)) if split.side(name, 0, 0.3, 0.2) == "train")
    row = record(1, passage=None, chunk=chunk, options=["A. Yes", "B. No"], answer="B. No", history=history)
    own = [row["question"], "B. No", "A. Yes", "Be brief.", "Hello?"]
    found = corpus([*RECORDS, row], Tokenize(**SPLIT), Account("records"))
    assert set(own) <= set(found["train"])


def test_no_record_on_the_training_side_is_an_error() -> None:
    with pytest.raises(FolioError, match="no pair fell to train"):
        corpus([], Tokenize(**SPLIT), Account("records"))


def test_texts_are_drawn_by_hash_in_their_order() -> None:
    texts = [f"text {n}" for n in range(50)]
    few = sampled(texts, 10)
    assert few == [text for text in texts if text in few]
    assert len(few) == 10
    assert sampled(few, 99) == few


# The model


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def made(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    option = scratch(vocabulary=320, architecture=request.param, dropout=0.1, context=128, maximum_tokens=128)
    tokenizer = train_tokenizer(TEXTS, option)
    return random_model(option, tokenizer).eval(), tokenizer


def test_a_model_has_the_sizes_and_the_seed_that_it_is_asked_for(
    made: tuple[Any, Any], tmp_path: Path
) -> None:
    model, tokenizer = made
    kind = model.config.model_type
    before = torch.get_rng_state()
    option = scratch(vocabulary=320, architecture=kind, dropout=0.1, context=128, maximum_tokens=128)
    again = random_model(option, tokenizer)
    assert torch.equal(torch.get_rng_state(), before)
    for name, one in (("first", model), ("again", again)):
        write(tmp_path / name, tokenizer, one)
    assert cache.contents(tmp_path / "first") == cache.contents(tmp_path / "again")
    other = random_model(scratch(**vars(option) | {"seed": 1}), tokenizer)
    assert not torch.equal(next(model.parameters()), next(other.parameters()))
    text = model.config.get_text_config()
    assert (text.num_hidden_layers, text.num_attention_heads, text.hidden_size) == (2, 2, 32)
    assert text.max_position_embeddings == 128
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 0
    assert next(model.parameters()).dtype == torch.float32
    # Worked out by hand: embeddings are shared with the output; each layer's matrices, biases and norms.
    width = 32
    if kind == "gpt2":
        layer = 3 * width**2 + 3 * width + width**2 + width + 8 * width**2 + 5 * width + 4 * width
        assert model.num_parameters() == 320 * width + 128 * width + 2 * layer + 2 * width
    else:
        layer = 4 * width**2 + 3 * width * 85 + 2 * width
        assert model.num_parameters() == 320 * width + 2 * layer + width


PREFIX = list(range(10, 40))
ROWS = [
    Row("a", "p", "open", "t", [*PREFIX, 50, 51], [60, 61, 0]),
    Row("b", "p", "open", "t", [*PREFIX, 52], [62, 63, 64, 0]),
    Row("c", "p", "open", "t", [*PREFIX, 52, 53], [65, 0]),
    Row("d", "q", "closed", "t", [7, 8], [66, 0]),
]


@pytest.mark.parametrize("attention", ["sdpa", "eager", "tree"])
def test_rows_that_share_a_prefix_lose_what_they_lose_alone(made: tuple[Any, Any], attention: str) -> None:
    model = made[0]
    model.set_attn_implementation(register() if attention == "tree" else attention)
    labelled = Labelled(model)
    assert obstacle(model, labelled, ROWS, torch.float32) is None
    with torch.no_grad():
        packed = label_losses(model, labelled, pack(ROWS, 1, pair_cost(model), "prefix"), torch.float32)
        alone = []
        for row in ROWS:
            logits = model(input_ids=torch.tensor([row.prompt + row.completion])).logits[0]
            scores = logits[len(row.prompt) - 1 : -1]
            alone += torch.nn.functional.cross_entropy(scores, torch.tensor(row.completion), reduction="none")
    assert torch.allclose(packed, torch.stack(alone), atol=1e-5)


def test_the_cost_of_a_pair_counts_the_linear_layers_of_any_kind(made: tuple[Any, Any]) -> None:
    model = made[0]
    model.set_attn_implementation("sdpa")
    # 12 width^2 in a layer of either kind, two products of the width for each pair.
    width = 32
    linear = 2 * (12 * width**2 if model.config.model_type == "gpt2" else 4 * width**2 + 3 * width * 85)
    assert pair_cost(model) == pytest.approx(2.0 * 2 * 2 * width / linear)


# Where its context ends


def alone(model: Any, prompt: list[int], steps: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(steps):
        with torch.no_grad():
            chosen.append(int(model(torch.tensor([prompt + chosen])).logits[0, -1].argmax()))
    return chosen


def test_answers_end_where_the_context_does_and_others_go_on(made: tuple[Any, Any]) -> None:
    model = made[0]
    prompts = [[5 + n % 90 for n in range(length)] for length in (128, 121, 20)]
    never = [999]
    found = Decoder(model, pad=1).complete(prompts, never, max_new_tokens=20)
    assert [len(reply.ids) for (reply,) in found] == [0, 7, 20]
    assert all(reply.stop is None for (reply,) in found)
    for prompt, (reply,) in zip(prompts[1:], found[1:], strict=True):
        assert reply.ids == alone(model, prompt, len(reply.ids))
    twice = Decoder(model, pad=1).complete(prompts, never, max_new_tokens=20, samples=2)
    assert [[len(reply.ids) for reply in replies] for replies in twice] == [[0, 0], [7, 7], [20, 20]]


def test_a_prompt_beyond_the_context_is_refused_in_a_sentence(made: tuple[Any, Any]) -> None:
    with pytest.raises(FolioError, match="a prompt has 129 tokens, more than the 128 that the model sees"):
        Decoder(made[0], pad=1, prefix=[5] * 9).complete([[6] * 120], [0], 4)


def test_a_question_beyond_the_context_is_left_out_and_counted(made: tuple[Any, Any]) -> None:
    account = Account("questions")
    pairs = [record(1), record(2, passage="ship " * 200), record(3, options=["A", "log " * 200])]
    account.keep(len(pairs))
    assert [row["id"] for row in fitting(*made, CHAT, pairs, account)] == [pairs[0]["id"]]
    assert account.as_dict() == {"in": 3, "kept": 1, "dropped": {"too_long": 2}}


# The stages, for real

RUN = """
import importlib, sys
for words in sys.argv[1].split(";"):
    name, *own = words.split()
    sys.argv = [name, *own, *OPTIONS]
    importlib.import_module(f"stages.{name}").main()
"""
SCRATCH = [
    "model=scratch", "model.vocabulary=360", "model.layers=2", "model.heads=2", "model.width=32",
    "model.context=256", "model@create.stock=folder",
]  # fmt: skip
SMALL = [
    "method=full", "tokenize.maximum_tokens=256", "tokenize.test_share=0.3", "tokenize.validation_share=0.2",
    "train.learning_rate=0.01", "train.questions=2", "train.metrics=[]", "train.patience=9",
    "evaluate.maximum_questions=4", "evaluate.maximum_trained=2", "evaluate.maximum_tokens=8",
]  # fmt: skip


def run(folder: Path, stages: str, *options: str) -> "subprocess.CompletedProcess[str]":
    script = RUN.replace("OPTIONS", repr([*SMALL, *options]))
    own = {"FOLIO_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", script, stages],
        cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_model_from_scratch_is_made_trained_merged_and_asked(tmp_path: Path, tiny_model: Path) -> None:
    jsonl.write(tmp_path / "data/sources/pairs.jsonl", RECORDS)
    scratch = [*SCRATCH, f"create.stock.path={tiny_model}"]
    done = run(tmp_path, "create;tokenize;train;merge;evaluate evaluate.model=base;evaluate", *scratch)
    assert done.returncode == 0, done.stderr
    assert "padded, not packed" not in done.stdout
    created, trained = (read_json(tmp_path / f"metrics/{name}.json") for name in ("create", "train"))
    assert created["vocabularies"] == {"own": 360, "stock": 300}
    assert created["parameters"] == trained["parameters"] == trained["trainable"]
    assert created["records"]["in"] == 80
    for side in created["fertility"].values():
        assert side["own"]["unknown"] == 0
        assert side["own"]["per_word"] < side["stock"]["per_word"]
    # Random weights find all 360 tokens equally likely, ln 360 = 5.89.
    assert trained["loss"]["before"] == pytest.approx(5.89, abs=0.2)
    assert trained["loss"]["after"] < 4
    assert read_json(tmp_path / "metrics/merge.json")["difference"] < 1e-6
    answers = list(jsonl.read(tmp_path / "evaluation/tuned.jsonl"))
    assert len(answers) == 4 + 4 + 2
    card = (tmp_path / "models/merged/README.md").read_text(encoding="utf-8")
    assert f'base_model: "models/base@{cache.digest(*cache.contents(tmp_path / "models/base"))}"' in card
    # What was merged is a base like any other.
    (tmp_path / "models/merged").rename(tmp_path / "models/first")
    further = run(tmp_path, "tokenize;train", "model=folder", "model.path=models/first", "train.steps=2")
    assert further.returncode == 0, further.stderr
    loss = read_json(tmp_path / "metrics/train.json")["loss"]["before"]
    assert loss == pytest.approx(trained["loss"]["after"], abs=1e-3)


def test_dvc_makes_the_model_before_the_tokens_and_only_where_it_is_chosen(
    tmp_path: Path, session_cache: Path
) -> None:
    checkout = Checkout(tmp_path, session_cache)
    assert "create" not in checkout.dvc("stage", "list", "--name-only").stdout
    checkout.edit("conf/config.yaml", "  - model: embedded", "  - model: scratch")
    refused = checkout.python("-m", "stages.compose")
    assert refused.stderr.strip().endswith("which method=lora would keep: add method=full")
    checkout.edit("conf/config.yaml", "  - method: lora", "  - method: full")
    assert checkout.python("-m", "stages.compose").returncode == 0
    arrows = checkout.dvc("dag", "--mermaid", "train").stdout
    nodes = dict(re.findall(r'(node\d+)\["(.+?)"\]', arrows))
    edges = {(nodes[a], nodes[b]) for a, b in re.findall(r"(node\d+)-->(node\d+)", arrows)}
    assert {("create@base", "tokenize"), ("create@base", "train"), ("tokenize", "train")} <= edges
    jsonl.write(tmp_path / "data/sources/pairs.jsonl", RECORDS)
    made = checkout.dvc("repro", "--single-item", "create@base")
    assert "training texts give a vocabulary of" in made.stderr, made.stdout + made.stderr
    assert "fewer than model.vocabulary=4000" in made.stderr
    assert not (tmp_path / "models/base").exists()


def test_a_model_that_is_there_already_is_not_made(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.create"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip() == "folio: model=embedded is there already; only model=scratch is made"
    assert not (tmp_path / "models").exists()
