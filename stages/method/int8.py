"""LoRA over a base model in 8-bit integers."""

from typing import Any

from pydantic import Field

from stages import bits
from stages.adapter import Quantized
from stages.option import setting


@setting
class Int8(Quantized):
    """LLM.int8(), Dettmers et al., 2022, arXiv:2208.07339; `outlier` is its threshold, section 3.2."""

    outlier: float = Field(gt=0)

    def bits(self, dtype: str) -> Any:
        """Each row of a weight scaled to -127 ... 127."""
        return bits.int8(self.outlier)

    def layer(self) -> type[Any]:
        """A linear layer in 8 bits."""
        from bitsandbytes.nn import Linear8bitLt

        layer: type[Any] = Linear8bitLt
        return layer
