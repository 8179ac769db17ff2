"""CPO: DPO under a uniform reference, held by the likelihood of the chosen answer."""

from pydantic import Field

from stages.option import setting
from stages.preference import Answers, Judged, Objective


@setting
class Cpo(Objective):
    """Xu et al., 2024, arXiv:2401.08417: L_prefer + L_NLL, of section 3."""

    beta: float = Field(gt=0)
    nll_weight: float = Field(ge=0)

    def __call__(self, policy: Answers, reference: Answers) -> Judged:
        """-log sigmoid(beta (log p_w - log p_l)) - nll_weight m_w; reward beta log p.

        p is the probability of the whole answer. The paper's likelihood term is log p_w; here, as in
        trl, it is m_w, its mean over tokens, so that long answers do not outweigh the first term.
        """
        from torch.nn.functional import logsigmoid

        chosen, rejected = self.beta * policy.chosen, self.beta * policy.rejected
        likelihood, _ = policy.means()
        return Judged(-logsigmoid(chosen - rejected) - self.nll_weight * likelihood, chosen, rejected)
