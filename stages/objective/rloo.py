"""RLOO: each answer's reward less the mean of the other answers' to the same question."""

from typing import Any

from stages.option import setting
from stages.sampling_objective import SamplingObjective


@setting
class Rloo(SamplingObjective):
    """Ahmadian et al., 2024, arXiv:2402.14740: whole answers, clipped; KL is part of the reward."""

    normalise: bool

    def knobs(self) -> dict[str, Any]:
        """Whether advantages are brought to mean 0 and deviation 1 over all answers of a step."""
        return {"normalize_advantages": self.normalise}
