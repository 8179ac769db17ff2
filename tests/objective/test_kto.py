import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stages.objective.kto import Kto
from stages.preference import Answers
from tests.objective.pairs import OPTION, POLICY, REFERENCE

KTO = Kto(name="kto", beta=0.5, desirable_weight=1.0, undesirable_weight=2.0, **OPTION)
# Mismatched answers have become likelier by 1 nat, or unlikelier.
LIKELIER = POLICY._replace(mismatched=torch.tensor(-7.0)), REFERENCE._replace(mismatched=torch.tensor(-8.0))


def test_two_pairs_by_hand() -> None:
    judged = KTO(*LIKELIER)
    # Of the answers' log-probabilities, less the reference's: 1 and -1 for chosen, -3 and 1 for rejected.
    assert judged.chosen.tolist() == [0.5, -0.5]
    assert judged.rejected.tolist() == [-1.5, 0.5]
    assert judged.kl == 1.0
    # 1 - sigmoid(0.5 (1 - 1)) = 0.5 and 1 - sigmoid(0.5 (-1 - 1)) = 0.731059;
    # 1 - sigmoid(0.5 (1 + 3)) = 0.119203 and 1 - sigmoid(0.5 (1 - 1)) = 0.5, twice; the mean of both.
    assert judged.losses.tolist() == pytest.approx([0.369203, 0.865529], abs=1e-6)


def test_a_divergence_is_no_less_than_nothing_and_is_not_learnt_from() -> None:
    policy, reference = (one._replace(mismatched=one.mismatched.clone()) for one in LIKELIER)
    policy.mismatched.requires_grad_()
    chosen = policy.chosen.clone().requires_grad_()
    KTO(policy._replace(chosen=chosen), reference).losses.sum().backward()
    assert policy.mismatched.grad is None
    assert chosen.grad is not None
    below = KTO(POLICY._replace(mismatched=torch.tensor(-9.0)), reference)
    assert below.kl == 0.0
    assert torch.equal(below.losses, KTO(POLICY, REFERENCE).losses)


def test_under_the_reference_itself_every_answer_costs_half_its_weight() -> None:
    judged = KTO(REFERENCE, REFERENCE)
    assert judged.losses.tolist() == [0.75, 0.75]
    assert judged.chosen.tolist() == judged.rejected.tolist() == [0.0, 0.0]


def test_an_answer_alone_costs_what_it_does_in_a_pair() -> None:
    halves = []
    for lacking in ("chosen", "rejected"):
        nothing = {lacking: torch.zeros(2), f"{lacking}_tokens": torch.zeros(2, dtype=torch.long)}
        halves.append(KTO(*(one._replace(**nothing) for one in LIKELIER)))
    assert torch.allclose(halves[0].losses + halves[1].losses, KTO(*LIKELIER).losses)
    assert halves[0].chosen.tolist() == halves[1].rejected.tolist() == [0.0, 0.0]


def padded(rows: Any) -> torch.Tensor:
    """Log-probabilities [rows] as those of tokens [rows, 3], as trl's model gives them."""
    return torch.stack([rows, torch.zeros_like(rows), torch.zeros_like(rows)], dim=1)


class Model:
    """Log-probabilities in the place of a model, in trl's order: the answers, then the mismatched ones."""

    training = True

    def __init__(self, answers: torch.Tensor, mismatched: torch.Tensor) -> None:
        self.found = {4: padded(answers), 5: padded(mismatched)}

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> Any:
        logs = self.found[int(input_ids[0, 0])]
        return SimpleNamespace(log_probs=logs, entropy=logs, mean_logits=logs)


@pytest.mark.parametrize("moved", [1.0, -1.0])
def test_it_is_trls(moved: float) -> None:
    from collections import defaultdict

    from trl import KTOTrainer

    answers = torch.cat([POLICY.chosen, POLICY.rejected])
    first = torch.cat([REFERENCE.chosen, REFERENCE.rejected])
    others = torch.tensor([-6.0, -8.0, -3.0, -11.0])
    batch = {
        "label": torch.tensor([True, True, False, False]),
        "input_ids": torch.full((4, 4), 4), "KL_input_ids": torch.full((4, 4), 5),
        "attention_mask": torch.ones(4, 4), "KL_attention_mask": torch.ones(4, 4),
        "completion_mask": torch.ones(4, 4), "KL_completion_mask": torch.ones(4, 4),
        "ref_logps": first, "ref_KL_logps": others - torch.tensor([2.0, 1.0, 1.0, 0.0]) * moved,
    }  # fmt: skip
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu", gather_for_metrics=lambda one: one), model=None,
        aux_loss_enabled=False, precompute_ref_logps=True, calculate_KL=True, loss_type="kto", beta=0.5,
        desirable_weight=1.0, undesirable_weight=2.0, _metrics={"train": defaultdict(list)},
        _total_train_tokens=0, _tp_size=1,
    )  # fmt: skip
    trainer.model = Model(answers, others)
    trainer._compute_kl_logps = lambda *given: KTOTrainer._compute_kl_logps(trainer, *given)
    loss = KTOTrainer._compute_loss(trainer, trainer.model, batch, False)

    policy = POLICY._replace(mismatched=others.mean())
    judged = KTO(policy, REFERENCE._replace(mismatched=batch["ref_KL_logps"].mean()))
    assert float(judged.losses.mean()) == pytest.approx(float(loss))
    told = {name: values[0] for name, values in trainer._metrics["train"].items() if values}
    assert judged.kl == told["kl"] == max(moved, 0.0)
    assert float(judged.chosen.mean()) == pytest.approx(told["rewards/chosen"])
    assert float(judged.rejected.mean()) == pytest.approx(told["rewards/rejected"])
    assert math.isfinite(float(loss))


def test_answers_without_mismatched_ones_have_no_divergence() -> None:
    assert Answers(*POLICY[:4]).mismatched == 0.0
    assert KTO(POLICY, REFERENCE).kl == 0.0
