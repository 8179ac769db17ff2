"""The two models that are compared: the base as it was chosen, and the tuned one as it was merged."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.bits import in_bits
from stages.language_model import load_model, load_tokenizer, pick_device, saved_dtype

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MERGED = Path("models/merged")


def load(source: Any, model: str, bits: int, asked: str) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load a model, in fewer bits where these are asked for, and its tokenizer.

    Args:
        source: the option of the group `model`, which knows the base.
        model: base or tuned.
        bits: 4, 8 or 16, which stands for the model's own precision.
        asked: the setting that holds the bits, for the sentence of a failure.
    """
    from stages.tree_attention import register

    folder, dtype = (source.folder(), source.dtype) if model == "base" else (MERGED, saved_dtype(MERGED))
    how = in_bits(bits, dtype, asked)
    if pick_device().type == "cpu":  # prompts are read as trees
        how["attn_implementation"] = register()
    return load_model(folder, dtype, **how), load_tokenizer(folder)
