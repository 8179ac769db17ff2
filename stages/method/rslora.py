"""rsLoRA: adapters scaled by alpha / sqrt(r), so that a higher rank learns as fast as a low one."""

from typing import Any

from stages.adapter import Adapter
from stages.option import setting


@setting
class Rslora(Adapter):
    """Kalajdzievski, 2023, arXiv:2312.03732, theorem 3.2."""

    def variant(self) -> dict[str, Any]:
        """The rank-stabilised scale."""
        return {"use_rslora": True}
