"""Questions between [INST] and [/INST], as Mistral's and Llama's first chat models are asked."""

from stages.option import setting
from stages.wording import Format


@setting
class Inst(Format):
    """Jiang et al., 2023, arXiv:2310.06825: BOS once, EOS after each answer."""
