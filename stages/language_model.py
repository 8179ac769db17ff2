"""Loading a causal language model and its tokenizer onto the best device there is."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from stages.artifact import read_json
from stages.errors import FolioError
from stages.option import Dtype

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# At its import, which peft brings about, it warns of optional kernels that Folio does not ask for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
# peft 0.21 asks transformers 5.23 by an older name; nobody who trains can do anything about it.
warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)

DTYPES = get_args(Dtype)


def pick_device() -> "torch.device":
    """CUDA when there is one, else Apple's MPS, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_dtype(name: str, device: "torch.device") -> "torch.dtype":
    """The named dtype; for `auto` bf16 where the device computes in it, else fp16 or fp32.

    Raises:
        FolioError: the name is none of `DTYPES`.
    """
    import torch

    if name not in DTYPES:
        raise FolioError(f"model.dtype={name} is unknown; choose one of {', '.join(DTYPES)}")
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "mps":
        return torch.bfloat16
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def saved_dtype(folder: Path) -> str:
    """The dtype in which a model was saved, for `load_model`; `auto` where the folder does not say."""
    config = read_json(folder / "config.json")
    name = config.get("dtype") or config.get("torch_dtype")
    return name if name in DTYPES else "auto"


def _quiet() -> None:
    """Leave the terminal to Folio's own progress: loading takes a second and needs no bar."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()


def _reason(error: Exception) -> str:
    """What transformers says, but for its advice to let a model's own code run."""
    if "trust_remote_code" in str(error):
        return "it needs Python code of its own, which Folio does not run; choose one that transformers knows"
    return str(error)


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Load a tokenizer with a padding token, padding on the left as generation needs it.

    Raises:
        FolioError: the folder holds no tokenizer, or none with a chat template.
    """
    tokenizer = read_tokenizer(folder)
    if not tokenizer.chat_template:
        raise FolioError(
            f"the tokenizer in {folder} has no chat template; choose an instruct model, or a format that "
            "brings one, such as format=plain"
        )
    return tokenizer


def read_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Load a tokenizer as `load_tokenizer` does, with or without a chat template.

    Raises:
        FolioError: the folder holds no tokenizer.
    """
    from transformers import AutoTokenizer

    _quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, padding_side="left", local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise FolioError(
            f"{folder} holds no tokenizer that transformers can read: {_reason(error)}"
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, dtype: str, **quantization: Any) -> "PreTrainedModel":
    """Load a causal model from a local folder, safetensors alone, onto the best device.

    Raises:
        FolioError: the weights are missing or of an architecture that transformers lacks.
    """
    from transformers import AutoModelForCausalLM

    _quiet()
    device = pick_device()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=pick_dtype(dtype, device),
            device_map={"": device},
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            **quantization,
        )
    except (OSError, ValueError) as error:
        raise FolioError(f"the model in {folder} cannot be loaded: {_reason(error)}") from error
    return model.eval()


def context(model: "PreTrainedModel") -> float:
    """The most tokens that the model was made for; endless where its config names no number."""
    return _positions(model.config)


def saved_context(folder: Path) -> float:
    """The same of a model that is not loaded."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return _positions(config)


def _positions(config: Any) -> float:
    return getattr(config.get_text_config(), "max_position_embeddings", None) or float("inf")


def listed(ids: int | list[int] | None) -> list[int]:
    """The ids of a configuration's entry, which may be one, several or none."""
    return ids if isinstance(ids, list) else [] if ids is None else [ids]


def generation_stops(folder: Path) -> list[int]:
    """The stop tokens of a model's generation config; none where it has no such file."""
    from transformers import GenerationConfig

    try:
        config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError:
        return []
    return listed(config.eos_token_id)


def stop_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Every token that ends an answer: the tokenizer's EOS and those of the generation config."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    return sorted({tokenizer.eos_token_id, *listed(configured)})
