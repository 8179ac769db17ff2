"""Loading a model's weights in fewer bits, by bitsandbytes."""

from typing import Any

from stages.language_model import pick_device, pick_dtype


def in_bits(bits: int, dtype: str) -> dict[str, Any]:
    """Arguments for `load_model`: none for 16 bits, which stands for the model's own precision."""
    if bits == 16:
        return {}
    from transformers import BitsAndBytesConfig

    if bits == 8:
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=pick_dtype(dtype, pick_device()),
    )
    return {"quantization_config": config}
