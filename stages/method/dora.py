"""DoRA: LoRA learns the direction of each row of a weight, a vector its length."""

from typing import Any

from stages.adapter import Adapter
from stages.option import setting


@setting
class Dora(Adapter):
    """Liu et al., 2024, arXiv:2402.09353, section 4.1: W' = m (W + BA alpha/r) / ||W + BA alpha/r||."""

    def variant(self) -> dict[str, Any]:
        """Weight-decomposed adapters."""
        return {"use_dora": True}
