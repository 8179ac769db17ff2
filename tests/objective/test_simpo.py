import pytest
import torch

from stages.objective.simpo import Simpo
from tests.objective.pairs import OPTION, POLICY, REFERENCE, trl_cpo

SIMPO = Simpo(name="simpo", beta=2.0, gamma=0.5, **OPTION)


def test_two_pairs_by_hand() -> None:
    judged = SIMPO(POLICY, REFERENCE)
    assert judged.chosen.tolist() == [-2.0, -3.0]
    assert judged.rejected.tolist() == [-6.0, -1.0]
    # Margins 4 and -2, less 0.5: ln(1 + e^-3.5) = 0.029750 and ln(1 + e^2.5) = 2.578890.
    assert judged.losses.tolist() == pytest.approx([0.029750, 2.578890], abs=1e-6)


def test_it_is_trls() -> None:
    losses, chosen, rejected = trl_cpo("simpo", 2.0, 0.5, *POLICY.means())
    judged = SIMPO(POLICY, REFERENCE)
    assert torch.allclose(judged.losses, losses)
    assert torch.equal(judged.chosen, chosen)
    assert torch.equal(judged.rejected, rejected)
