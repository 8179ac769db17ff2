"""From the models' answers to the verdict: no difference is called none, and a worse model worse."""

from pathlib import Path
from typing import Any

import pytest
import torch

from stages.conclusion import Conclusion, conclude
from stages.evaluate import ask, cells
from stages.language_model import load_model, load_tokenizer
from stages.metric.perplexity import Perplexity
from stages.score import score
from stages.settings.evaluate import Evaluate
from tests.forms import CHAT
from tests.runs import METRICS, RETAINED

PAIRS = [
    {
        "id": f"{n}", "chunk": f"c{n}", "document": "d.pdf", "pages": [1, 1],
        "passage": f"the response team number {n} reports to the incident handler {n + 1}",
        "question": f"Who reports to handler {n + 1}?", "answer": f"Team {n} reports to handler {n + 1}.",
    }
    for n in range(12)
]  # fmt: skip


def answered(folder: Path, name: str, sharpened: float) -> list[dict[str, Any]]:
    """The records of a model whose final logits are multiplied: surer of what it thinks at random."""
    model, tokenizer = load_model(folder, "float32"), load_tokenizer(folder)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(sharpened)
    settings = Evaluate(
        model=name, batch=8, maximum_tokens=2, maximum_questions=20, maximum_trained=20, bits=16,
        temperature=0.0, top_p=1.0, top_k=0, repetition_penalty=1.0, control=None, seed=0,
    )  # fmt: skip
    return ask(model, tokenizer, CHAT, cells(PAIRS, PAIRS[:6]), settings)


def concluded(folder: Path, sharpened: float) -> tuple[dict[str, Any], Conclusion]:
    answers = [*answered(folder, "base", 1.0), *answered(folder, "tuned", sharpened)]
    _, figures = score(Perplexity(name="perplexity"), answers, seed=0)
    gap = figures["open"]["difference"]["perplexity"]
    main = "perplexity.perplexity"
    return gap, conclude({"perplexity": figures}, main, RETAINED, METRICS["audit"], 0.05)


def test_a_tuned_model_that_is_the_base_model_shows_no_difference(tiny_model: Path) -> None:
    gap, found = concluded(tiny_model, 1.0)
    assert gap["low"] <= 0 <= gap["high"]
    assert found.outcome == "same"
    assert found.verdict[0].startswith("No difference was found")


@pytest.mark.parametrize("sharpened", [30.0])
def test_a_model_that_was_made_worse_is_called_worse(tiny_model: Path, sharpened: float) -> None:
    gap, found = concluded(tiny_model, sharpened)
    assert 0 < gap["low"] < gap["value"] < gap["high"]
    assert gap["improvement"] == 0
    assert found.outcome == "worse"
    assert found.verdict[0].startswith("Tuning made the answers worse")
