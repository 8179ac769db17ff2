import pytest
import torch

from stages.objective.cpo_simpo import CpoSimpo
from tests.objective.pairs import OPTION, POLICY, REFERENCE, trl_cpo


def test_two_pairs_by_hand() -> None:
    judged = CpoSimpo(name="cpo_simpo", beta=2.0, gamma=0.5, nll_weight=0.5, **OPTION)(POLICY, REFERENCE)
    # SimPO's 0.029750 and 2.578890 with half the chosen answers' losses per token, 1 and 1.5.
    assert judged.losses.tolist() == pytest.approx([0.529750, 3.328890], abs=1e-6)
    assert judged.chosen.tolist() == [-2.0, -3.0]
    assert judged.rejected.tolist() == [-6.0, -1.0]


def test_without_the_likelihood_it_is_trls_simpo() -> None:
    losses, chosen, _ = trl_cpo("simpo", 2.5, 0.5, *POLICY.means())
    judged = CpoSimpo(name="cpo_simpo", beta=2.5, gamma=0.5, nll_weight=0.0, **OPTION)(POLICY, REFERENCE)
    assert torch.allclose(judged.losses, losses)
    assert torch.equal(judged.chosen, chosen)
