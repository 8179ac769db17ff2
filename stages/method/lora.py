"""LoRA over the base model in its own precision."""

from stages.adapter import Adapter
from stages.option import setting


@setting
class Lora(Adapter):
    """Hu et al., 2021, arXiv:2106.09685."""
