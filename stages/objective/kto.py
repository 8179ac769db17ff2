"""KTO: each answer by itself is desirable or not, against how far the model has moved on the whole."""

from typing import ClassVar

from pydantic import Field

from stages.option import setting
from stages.preference import Answers, Judged, Objective


@setting
class Kto(Objective):
    """Ethayarajh et al., 2024, arXiv:2402.01306, equation 7; its lambda_D and lambda_U are the weights."""

    needs_reference: ClassVar[bool] = True
    needs_mismatched: ClassVar[bool] = True
    needs_both: ClassVar[bool] = False

    beta: float = Field(gt=0)
    desirable_weight: float = Field(ge=0)
    undesirable_weight: float = Field(ge=0)

    def __call__(self, policy: Answers, reference: Answers) -> Judged:
        """The mean of w_D (1 - sigmoid(beta (h_w - z))) and w_U (1 - sigmoid(beta (z - h_l))); reward beta h.

        h is log p - log p_reference of the whole answer and z, no less than 0, its mean over mismatched
        answers, which estimates the KL divergence from the reference. Of an answer that a pair lacks the
        term is 0: every answer counts as half a pair.
        """
        import torch

        kl = torch.as_tensor(policy.mismatched - reference.mismatched).detach().clamp(min=0)
        chosen, rejected = policy.chosen - reference.chosen, policy.rejected - reference.rejected
        desirable = self.desirable_weight * (1 - torch.sigmoid(self.beta * (chosen - kl)))
        undesirable = self.undesirable_weight * (1 - torch.sigmoid(self.beta * (kl - rejected)))
        losses = desirable * (policy.chosen_tokens > 0) + undesirable * (policy.rejected_tokens > 0)
        return Judged(losses / 2, self.beta * chosen, self.beta * rejected, kl)
