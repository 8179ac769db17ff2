"""CPO-SimPO: SimPO, held by the likelihood of the chosen answer."""

from pydantic import Field

from stages.option import setting
from stages.preference import Answers, Judged, Objective


@setting
class CpoSimpo(Objective):
    """SimPO (arXiv:2405.14734) with the likelihood term of CPO (arXiv:2401.08417), as in trl's CPOTrainer."""

    beta: float = Field(gt=0)
    gamma: float = Field(ge=0)
    nll_weight: float = Field(ge=0)

    def __call__(self, policy: Answers, reference: Answers) -> Judged:
        """-log sigmoid(beta m_w - beta m_l - gamma) - nll_weight m_w; reward beta m.

        m is the mean log-probability per token.
        """
        from torch.nn.functional import logsigmoid

        likelihood, other = policy.means()
        chosen, rejected = self.beta * likelihood, self.beta * other
        losses = -logsigmoid(chosen - rejected - self.gamma) - self.nll_weight * likelihood
        return Judged(losses, chosen, rejected)
