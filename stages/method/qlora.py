"""LoRA over a base model in 4-bit NF4."""

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from stages.adapter import Adapter
from stages.errors import FolioError
from stages.language_model import pick_device, pick_dtype
from stages.option import setting

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@setting
class Qlora(Adapter):
    """Dettmers et al., 2023, arXiv:2305.14314; weights NF4, computation in `model.dtype`."""

    double_quantisation: bool

    def check(self) -> None:
        """Bitsandbytes must be installed and have NF4 for this machine."""
        if sys.platform == "darwin":
            raise FolioError("method=qlora: bitsandbytes has no NF4 for Apple's MPS; set method=lora")
        if importlib.util.find_spec("bitsandbytes") is None:
            raise FolioError("method=qlora needs bitsandbytes; install it or set method=lora")

    def quantization(self, dtype: str) -> dict[str, Any]:
        """Arguments for loading the base model in NF4.

        Raises:
            FolioError: bitsandbytes is missing or does not run on this device.
        """
        from transformers import BitsAndBytesConfig

        self.check()
        try:
            import bitsandbytes
        except (ImportError, OSError, RuntimeError) as error:
            raise FolioError(
                f"method=qlora needs bitsandbytes, which does not load here ({error}); "
                "install it or set method=lora"
            ) from error
        if not hasattr(bitsandbytes.nn, "Linear4bit"):
            raise FolioError("method=qlora needs a newer bitsandbytes; or set method=lora")
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=self.double_quantisation,
            bnb_4bit_compute_dtype=pick_dtype(dtype, pick_device()),
        )
        return {"quantization_config": config}

    def attach(self, model: "PreTrainedModel") -> Any:
        """Return the quantised model, made ready for training, with fresh adapters."""
        from bitsandbytes.nn import Linear4bit
        from peft import prepare_model_for_kbit_training

        for module in model.modules():
            if isinstance(module, Linear4bit):
                # On such CPUs an evaluation packs the weights for inference, and bitsandbytes 0.50
                # never unpacks them: the steps after it would get no gradient through the layer.
                module.support_avx512bf16_for_cpu = False
        # Whether activations are kept is the train stage's setting.
        ready = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        return super().attach(ready)
