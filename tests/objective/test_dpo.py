import math

import pytest

from stages.objective.dpo import Dpo
from tests.objective.pairs import OPTION, POLICY, REFERENCE

DPO = Dpo(name="dpo", beta=0.5, **OPTION)


def test_two_pairs_by_hand() -> None:
    judged = DPO(POLICY, REFERENCE)
    # Of the answers' log-probabilities, less the reference's: 1 and -1 for chosen, -3 and 1 for rejected.
    assert judged.chosen.tolist() == [0.5, -0.5]
    assert judged.rejected.tolist() == [-1.5, 0.5]
    # Margins 2 and -1: ln(1 + e^-2) = 0.126928 and ln(1 + e) = 1.313262.
    assert judged.losses.tolist() == pytest.approx([0.126928, 1.313262], abs=1e-6)


def test_under_the_reference_itself_nothing_is_preferred() -> None:
    judged = DPO(REFERENCE, REFERENCE)
    assert judged.losses.tolist() == pytest.approx([math.log(2)] * 2)
    assert judged.chosen.tolist() == judged.rejected.tolist() == [0.0, 0.0]
