"""ORPO: the likelihood of the chosen answer, and its odds against the rejected one's."""

import math
from typing import TYPE_CHECKING

from pydantic import Field

from stages.option import setting
from stages.preference import Answers, Judged, Objective

if TYPE_CHECKING:
    import torch

# Nearer to certain than this an answer's odds would be infinite in float32.
CERTAIN = -1e-6


@setting
class Orpo(Objective):
    """Hong et al., 2024, arXiv:2403.07691, equations 6 and 7; `beta` is the paper's lambda."""

    beta: float = Field(gt=0)

    def __call__(self, policy: Answers, reference: Answers) -> Judged:
        """-m_w - beta log sigmoid(log odds_w - log odds_l); reward beta m.

        m is the mean log-probability per token, and odds = exp(m) / (1 - exp(m)).
        """
        from torch.nn.functional import logsigmoid

        chosen, rejected = policy.means()
        ratio = _log_odds(chosen) - _log_odds(rejected)
        return Judged(-chosen - self.beta * logsigmoid(ratio), self.beta * chosen, self.beta * rejected)


def _log_odds(mean: "torch.Tensor") -> "torch.Tensor":
    """Log of exp(m) / (1 - exp(m)), by whichever form of log(1 - exp(m)) loses no digits (Maechler, 2012)."""
    import torch

    m = mean.clamp(max=CERTAIN)
    near = torch.log(-torch.expm1(m.clamp(min=-math.log(2))))
    far = torch.log1p(-torch.exp(m.clamp(max=-math.log(2))))
    return m - torch.where(m > -math.log(2), near, far)
