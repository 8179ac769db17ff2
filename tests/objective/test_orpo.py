import os
from types import SimpleNamespace

import pytest
import torch

from stages.objective.orpo import Orpo
from stages.preference import Answers
from tests.objective.pairs import OPTION, POLICY, REFERENCE

ORPO = Orpo(name="orpo", beta=0.5, **OPTION)


def test_two_pairs_by_hand() -> None:
    judged = ORPO(POLICY, REFERENCE)
    # Log odds m - ln(1 - e^m):
    # -0.541325 and -1.247518 for chosen, -2.948931 and 0.432752 for rejected; their ratios
    # 2.407606 and -1.680270: ln(1 + e^-2.407606) = 0.086206 and ln(1 + e^1.680270) = 1.851129.
    assert judged.losses.tolist() == pytest.approx([1 + 0.043103, 1.5 + 0.925565], abs=2e-6)
    assert judged.chosen.tolist() == [-0.5, -0.75]
    assert judged.rejected.tolist() == [-1.5, -0.25]


def test_it_is_trls() -> None:
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from trl.experimental.orpo import ORPOTrainer

    settings = SimpleNamespace(beta=0.5, accelerator=SimpleNamespace(device="cpu"))
    gains, chosen, *_ = ORPOTrainer.odds_ratio_loss(settings, *POLICY.means())
    judged = ORPO(POLICY, REFERENCE)
    # trl subtracts these from the likelihood's loss.
    assert torch.allclose(judged.losses, -POLICY.means()[0] - gains)
    assert torch.equal(judged.chosen, chosen)


def test_a_certain_answer_has_finite_odds_and_gradients() -> None:
    sums = torch.tensor([0.0, -1e-8], requires_grad=True)
    one = torch.tensor([1, 1])
    judged = ORPO(Answers(sums, torch.tensor([-80.0, 0.0]), one, one), REFERENCE)
    judged.losses.sum().backward()
    assert judged.losses.isfinite().all()
    assert sums.grad is not None
    assert sums.grad.isfinite().all()
