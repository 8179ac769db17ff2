"""GRPO: each answer's reward beside those of the other answers to the same question."""

from typing import Any, Literal

from stages.option import setting
from stages.sampling_objective import SamplingObjective


@setting
class Grpo(SamplingObjective):
    """Shao et al., 2024, arXiv:2402.03300: A = (r - mean) / std over an answer's group, clipped per token."""

    loss: Literal["grpo", "bnpo", "dapo", "dr_grpo"]
    scale: Literal["group", "batch", "none"]

    def knobs(self) -> dict[str, Any]:
        """How token losses are averaged, and what rewards are divided by."""
        return {"loss_type": self.loss, "scale_rewards": self.scale}
