import pytest
import torch

from stages.objective.cpo import Cpo
from tests.objective.pairs import OPTION, POLICY, REFERENCE, trl_cpo


def test_two_pairs_by_hand() -> None:
    judged = Cpo(name="cpo", beta=0.5, nll_weight=1.0, **OPTION)(POLICY, REFERENCE)
    assert judged.chosen.tolist() == [-2.0, -1.5]
    assert judged.rejected.tolist() == [-4.5, -1.0]
    # ln(1 + e^-2.5) = 0.078890 and ln(1 + e^0.5) = 0.974077; losses per token of the chosen 1 and 1.5.
    assert judged.losses.tolist() == pytest.approx([1.078890, 2.474077], abs=1e-6)


def test_without_the_likelihood_it_is_trls() -> None:
    losses, chosen, rejected = trl_cpo("sigmoid", 0.5, 0.0, POLICY.chosen, POLICY.rejected)
    judged = Cpo(name="cpo", beta=0.5, nll_weight=0.0, **OPTION)(POLICY, REFERENCE)
    assert torch.allclose(judged.losses, losses)
    assert torch.equal(judged.chosen, chosen)
    assert torch.equal(judged.rejected, rejected)
