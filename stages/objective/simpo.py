"""SimPO: the mean log-probability of the chosen answer's tokens above the rejected one's, by a margin."""

from pydantic import Field

from stages.option import setting
from stages.preference import Answers, Judged, Objective


@setting
class Simpo(Objective):
    """Meng et al., 2024, arXiv:2405.14734, equation 6."""

    beta: float = Field(gt=0)
    gamma: float = Field(ge=0)

    def __call__(self, policy: Answers, reference: Answers) -> Judged:
        """-log sigmoid(beta m_w - beta m_l - gamma), m the mean log-probability per token; reward beta m."""
        from torch.nn.functional import logsigmoid

        chosen, rejected = (self.beta * mean for mean in policy.means())
        return Judged(-logsigmoid(chosen - rejected - self.gamma), chosen, rejected)
