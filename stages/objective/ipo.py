"""IPO: the gap that DPO widens without end is drawn to a finite one."""

from typing import ClassVar

from pydantic import Field

from stages.option import setting
from stages.preference import Answers, Judged, Objective


@setting
class Ipo(Objective):
    """Azar et al., 2023, arXiv:2310.12036, equation 17."""

    needs_reference: ClassVar[bool] = True

    beta: float = Field(gt=0)

    def __call__(self, policy: Answers, reference: Answers) -> Judged:
        """(h_w - h_l - 1 / (2 beta))², h the mean over tokens of log p - log p_reference; reward beta h.

        The paper sums over tokens; the mean is what its authors used, as trl's DPOTrainer notes.
        """
        (chosen, rejected), (first, second) = policy.means(), reference.means()
        chosen, rejected = chosen - first, rejected - second
        losses = (chosen - rejected - 1 / (2 * self.beta)) ** 2
        return Judged(losses, self.beta * chosen, self.beta * rejected)
