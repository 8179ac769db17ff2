"""Weights in fewer bits, by bitsandbytes: what it needs of this machine, and how it is asked for."""

import importlib.util
import sys
from importlib.metadata import version
from typing import Any

from stages.errors import FolioError
from stages.language_model import pick_device, pick_dtype

# Of bitsandbytes, as in pyproject.toml: with it came what trains on a CPU.
OLDEST = (0, 49)
OUTLIER = 6.0  # LLM.int8()'s own threshold


def check(asked: str, instead: str) -> None:
    """Bitsandbytes must be installed, and made for this machine.

    Raises:
        FolioError: it is not; names the setting that `asked` for it and what to set `instead`.
    """
    if sys.platform == "darwin":
        raise FolioError(f"{asked}: bitsandbytes does not run on Apple's MPS; set {instead}")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise FolioError(f"{asked} needs bitsandbytes; install it or set {instead}")
    found = version("bitsandbytes")
    if tuple(map(int, found.split(".")[:2])) < OLDEST:
        raise FolioError(f"{asked} needs a newer bitsandbytes than {found}; run `make env` or set {instead}")


def load(asked: str, instead: str) -> None:
    """See that bitsandbytes works on this device, which its import does not tell.

    Raises:
        FolioError: it is missing, too old or does not run here.
    """
    check(asked, instead)
    try:
        import torch
        from bitsandbytes.functional import quantize_4bit

        quantize_4bit(torch.ones(64, device=pick_device()))  # a library that is missing shows here
    except (ImportError, OSError, RuntimeError) as error:
        raise FolioError(
            f"{asked} needs bitsandbytes, which does not load here ({error}); install it or set {instead}"
        ) from error


def nf4(dtype: str, double: bool = True) -> Any:
    """The BitsAndBytesConfig of NF4 weights that compute in `dtype`; `double`: their scales quantised too."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=pick_dtype(dtype, pick_device()),
    )


def int8(outlier: float = OUTLIER) -> Any:
    """The BitsAndBytesConfig of weights whose rows are scaled to -127 ... 127."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=outlier)


def in_bits(bits: int, dtype: str, asked: str) -> dict[str, Any]:
    """Arguments for `load_model`: none for 16 bits, which stands for the model's own precision.

    Raises:
        FolioError: bitsandbytes does not run here; `asked` is the setting without its value.
    """
    if bits == 16:
        return {}
    load(f"{asked}={bits}", f"{asked}=16")
    return {"quantization_config": nf4(dtype) if bits == 4 else int8()}
