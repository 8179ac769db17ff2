"""Learning from mismatched answers, and from answers without a counterpart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stages import align, jsonl, train
from stages.account import Account
from stages.artifact import read_json
from stages.errors import FolioError
from stages.language_model import load_tokenizer
from stages.likelihood import label_losses
from stages.packing import pack
from stages.pairing import Pair, encode
from tests.test_align import configured, logged, prepared, record, stirred
from tests.training import tuned

pytestmark = pytest.mark.usefixtures("own_folder")
PLAIN = "objective=kto", "method.dropout=0"


@pytest.fixture
def pairs(tiny_model: Path) -> list[Pair]:
    return encode(load_tokenizer(tiny_model), map(record, range(22)), 200, Account("pairs"))


def alone(n: int) -> dict[str, Any]:
    """Of every question one answer: a chosen one in two of three."""
    lacking = "rejected" if n % 3 else "chosen"
    return record(2 * n) | {"id": f"{n}", lacking: None}


def log_probs(made: Any, pairs: list[Pair]) -> torch.Tensor:
    """Log-probability of each answer, computed in a batch of its own."""
    made.model.eval()
    rows = [row for pair in pairs for row in pair.answers()]
    with torch.no_grad():
        losses = [
            label_losses(made.model, made._labelled, pack([row], 1, 0.0, "none"), torch.float32).sum()
            for row in rows
        ]
    return -torch.stack(losses)


@pytest.mark.parametrize("batch", [2, 6])
def test_the_divergence_is_the_mean_over_the_mismatched_answers_of_all_and_rewards_are_beta_times_ratios(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, batch: int
) -> None:
    tuned(tiny_model)
    words = *PLAIN, f"align.batch={batch}", f"align.accumulation={16 // batch}", "align.steps=1"
    made = prepared(configured(tiny_model, *words, "align.learning_rate=1e-9"), pairs, tmp_path / "run")
    assert made.validation_figures()["eval_kl"] == pytest.approx(0.0, abs=1e-5)
    stirred(made)
    held_out = made.eval_dataset
    others = [pair.mismatched for pair in held_out]
    moved = log_probs(made, others) - torch.tensor([pair.reference for pair in others]).flatten()
    # Policy and reference are about alike: the sign is not known beforehand, and below 0 it would be 0.
    shift = 1.0 - float(moved.mean())
    made.eval_dataset = [
        replace(pair, mismatched=replace(other, reference=tuple(x - shift for x in other.reference)))
        for pair, other in zip(held_out, others, strict=True)
    ]
    found = made.validation_figures()
    assert found["eval_kl"] == pytest.approx(1.0, abs=1e-4)
    ratios = log_probs(made, held_out) - torch.tensor([pair.reference for pair in held_out]).flatten()
    chosen, rejected = (0.1 * ratios).reshape(-1, 2).mean(0).tolist()
    assert found["eval_rewards/chosen"] == pytest.approx(chosen, abs=1e-5)
    assert found["eval_rewards/rejected"] == pytest.approx(rejected, abs=1e-5)
    good = 1 - torch.sigmoid(0.1 * (ratios.reshape(-1, 2)[:, 0] - 1))
    bad = 1 - torch.sigmoid(0.1 * (1 - ratios.reshape(-1, 2)[:, 1]))
    assert found["eval_loss"] == pytest.approx(float((good + bad).mean() / 2), abs=1e-5)

    # A step's micro-batches share one divergence, that of all of its pairs.
    made.eval_dataset = held_out
    step = [pair.mismatched for pair in made.train_dataset]
    expected = log_probs(made, step) - torch.tensor([pair.reference for pair in step]).flatten()
    train.fit(made, tmp_path / "run")
    assert logged(made, "kl")[0]["kl"] == pytest.approx(max(float(expected.mean()), 0.0), abs=1e-4)


def write_alone(tiny: Path) -> None:
    tuned(tiny)
    jsonl.write(align.PREFERENCES / "train.jsonl", map(alone, range(16)))
    jsonl.write(align.PREFERENCES / "validation.jsonl", map(alone, range(16, 22)))


def test_answers_alone_teach_kto(tiny_model: Path) -> None:
    write_alone(tiny_model)
    align.main.__wrapped__(configured(tiny_model, "objective=kto"))  # type: ignore[attr-defined]
    figures = read_json(align.METRICS)
    whole = {"in": 22, "kept": 22, "dropped": {}}
    assert (figures["pairs"], figures["mismatched"]) == (whole, whole)
    # There is no pair whose order could be right; desirable answers gain on undesirable ones all the same.
    assert set(figures["aligned"]) == {"loss", "margin"}
    assert figures["aligned"]["loss"]["after"] < figures["aligned"]["loss"]["before"]
    assert figures["aligned"]["margin"]["after"] > 0.0
    history = read_json(align.ALIGNED / "trainer_state.json")["log_history"]
    entry = next(entry for entry in history if "rewards/chosen" in entry)
    assert entry["rewards/margins"] == entry["rewards/chosen"] - entry["rewards/rejected"]
    assert "rewards/accuracies" not in entry


def test_other_objectives_say_that_answers_alone_teach_them_nothing(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_alone(tiny_model)
    with pytest.raises(FolioError, match=r"kept 0 of 22 pairs.*22 unpaired"):
        align.main.__wrapped__(configured(tiny_model, "objective=dpo"))  # type: ignore[attr-defined]
    told = "22 of 22 rows have one answer alone, from which objective=dpo cannot learn; objective=kto can"
    assert told in capsys.readouterr().out


def test_one_prompt_alone_cannot_be_compared_with_others(tiny_model: Path) -> None:
    write_alone(tiny_model)
    for name in ("train", "validation"):
        jsonl.write(align.PREFERENCES / f"{name}.jsonl", [record(n) | {"group": "a"} for n in range(2)])
    with pytest.raises(FolioError, match=r"no prompt can be read .*4 no_other_prompt"):
        align.main.__wrapped__(configured(tiny_model, "objective=kto"))  # type: ignore[attr-defined]
