"""DPO: how much likelier than under the reference the chosen answer became, against the rejected one."""

from typing import ClassVar

from pydantic import Field

from stages.option import setting
from stages.preference import Answers, Judged, Objective


@setting
class Dpo(Objective):
    """Rafailov et al., 2023, arXiv:2305.18290, equation 7."""

    needs_reference: ClassVar[bool] = True

    beta: float = Field(gt=0)

    def __call__(self, policy: Answers, reference: Answers) -> Judged:
        """-log sigmoid(r_w - r_l), the reward r = beta (log p - log p_reference) of the whole answer."""
        from torch.nn.functional import logsigmoid

        chosen = self.beta * (policy.chosen - reference.chosen)
        rejected = self.beta * (policy.rejected - reference.rejected)
        return Judged(-logsigmoid(chosen - rejected), chosen, rejected)
