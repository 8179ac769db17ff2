"""LoRA over a base model in 4-bit NF4."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stages import bits
from stages.adapter import Quantized
from stages.option import setting

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@setting
class Qlora(Quantized):
    """Dettmers et al., 2023, arXiv:2305.14314; weights NF4, computation in `model.dtype`."""

    double_quantisation: bool

    def bits(self, dtype: str) -> Any:
        """NF4, computing in `dtype`."""
        return bits.nf4(dtype, self.double_quantisation)

    def layer(self) -> type[Any]:
        """A linear layer in 4 bits."""
        from bitsandbytes.nn import Linear4bit

        layer: type[Any] = Linear4bit
        return layer

    def attach(self, model: "PreTrainedModel", new_tokens: Sequence[int] = ()) -> Any:
        """Return the quantised model, made ready for training, with fresh adapters."""
        for module in model.modules():
            if isinstance(module, self.layer()):
                # On such CPUs an evaluation packs the weights for inference, and bitsandbytes 0.50
                # never unpacks them: the steps after it would get no gradient through the layer.
                module.support_avx512bf16_for_cpu = False
        return super().attach(model, new_tokens)
