import pytest

from stages.objective.ipo import Ipo
from tests.objective.pairs import OPTION, POLICY, REFERENCE


def test_two_pairs_by_hand() -> None:
    judged = Ipo(name="ipo", beta=0.5, **OPTION)(POLICY, REFERENCE)
    # Means less the reference's: 0.25 and -0.5 for chosen, -1 and 0.25 for rejected; the aim is 1 / (2 0.5).
    assert judged.chosen.tolist() == [0.125, -0.25]
    assert judged.rejected.tolist() == [-0.5, 0.125]
    # (1.25 - 1)² and (-0.75 - 1)².
    assert judged.losses.tolist() == pytest.approx([0.0625, 3.0625])
