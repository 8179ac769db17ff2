"""The default run with the real embedded model, on a few pages of the real PDF."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from stages import jsonl
from tests.checkout import Checkout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("default"), session_cache)
    made.pages("manual.pdf", 14, 20)
    # Seven pages hold few passages: with the default shares a side of the split could stay empty.
    made.edit("conf/config.yaml", "test_share: 0.2", "test_share: 0.3")
    made.edit(
        "conf/config.yaml",
        "validation_share: 0.1 # of the passages; their",
        "validation_share: 0.3 # of the passages; their",
    )
    assert made.python("-m", "stages.compose").returncode == 0
    made.commit()
    return made


def test_a_real_pdf_becomes_a_tuned_merged_evaluated_model(checkout: Checkout) -> None:
    stages = checkout.repro()
    assert stages[0] == "compose"
    assert stages[-1] == "report"
    root = checkout.folder

    # Every kept answer stands in its passage, at its place, on pages of the document.
    pairs = list(jsonl.read(root / "data/qa.jsonl"))
    assert len(pairs) >= 10
    for pair in pairs:
        start, end = pair["evidence"]
        assert pair["answer"] in pair["passage"][start:end]
        assert 1 <= pair["pages"][0] <= pair["pages"][1] <= 7

    # Accounts balance, and nothing rejected lacks a reason.
    for name in ("chunk", "generate", "verify", "tokenize"):
        figures = json.loads((root / f"metrics/{name}.json").read_text(encoding="utf-8"))
        for account in (value for value in figures.values() if isinstance(value, dict) and "in" in value):
            assert account["in"] == account["kept"] + sum(account["dropped"].values())
    rejected = list(jsonl.read(root / "data/rejected.jsonl"))
    verified = json.loads((root / "metrics/verify.json").read_text(encoding="utf-8"))["pairs"]
    assert len(rejected) == sum(verified["dropped"].values())
    assert all(pair["reason"] for pair in rejected)

    # No passage of a held-out question was trained on.
    held_out = {pair["chunk"] for pair in jsonl.read(root / "data/test.jsonl")}
    from stages import tokens

    trained = {row.passage for row in tokens.read(root / "data/tokens/train.parquet")}
    assert held_out
    assert not held_out & trained

    loss = json.loads((root / "metrics/train.json").read_text(encoding="utf-8"))["loss"]
    assert loss["after"] < loss["before"]

    # The merged model is a folder that transformers opens by itself, chat template and all.
    merged = root / "models/merged"
    assert (merged / "model.safetensors").is_file()
    assert (merged / "README.md").is_file()
    assert AutoTokenizer.from_pretrained(merged).chat_template
    assert AutoModelForCausalLM.from_pretrained(merged).num_parameters() > 100_000_000

    for metric in ("squad", "perplexity", "bertscore"):
        figures = json.loads((root / f"metrics/score/{metric}.json").read_text(encoding="utf-8"))
        counts = {context: figures[context]["n"] for context in ("open", "closed")}
        assert set(counts.values()) == {len(list(jsonl.read(root / "data/test.jsonl")))}
        assert figures["trained"]["n"] > 0
    summary = (root / "report/summary.md").read_text(encoding="utf-8")
    assert "Base against tuned" in summary
    assert "manual.pdf, page" in summary
    assert (root / "report/index.html").is_file()

    shown = checkout.dvc("metrics", "show")
    assert "open.tuned.f1.value" in shown.stdout, shown.stderr
    plots = checkout.dvc("plots", "show", "--json")
    assert "loss.tsv" in plots.stdout, plots.stderr
