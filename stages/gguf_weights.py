"""A model folder's hyperparameters and tensors by the names and in the order of llama.cpp."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.errors import FolioError

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFWriter

Array = np.ndarray[Any, Any]

# Per architecture what its configuration must say: llama.cpp computes nothing else under that name.
FIXED: dict[str, dict[str, Any]] = {
    "llama": {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False},
    "qwen2": {"hidden_act": "silu", "use_sliding_window": False},
    "gpt2": {
        "activation_function": "gelu_new",
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
}  # fmt: skip
# The largest number that each kind can hold; a block of q8_0 is 8-bit integers times an f16.
F16, F32 = float(np.finfo(np.float16).max), float(np.finfo(np.float32).max)
LARGEST = {"F32": F32, "BF16": F32, "F16": F16, "Q8_0": 127 * F16}
CONVERTER = "convert it with llama.cpp's own convert_hf_to_gguf.py models/merged"


def check(config: dict[str, Any]) -> str:
    """Return the architecture's name in GGUF, which is the model's type in transformers.

    Raises:
        FolioError: it is none of `FIXED`, or a variant that llama.cpp would compute otherwise.
    """
    kind = config.get("model_type")
    if kind not in FIXED:
        raise FolioError(
            f"export writes GGUF for {', '.join(FIXED)}, not for models of type {kind!r}; {CONVERTER}"
        )
    wanted = FIXED[kind] | ({} if kind == "gpt2" else {"rope_type": "default"})
    has = config | {"rope_type": _rope(config).get("rope_type", "default")}
    for key, value in wanted.items():
        if has.get(key, value) != value:
            raise FolioError(
                f"export writes {kind} models with {key}={value!r} alone, not {has[key]!r}; {CONVERTER}"
            )
    return str(kind)


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary embedding's parameters; GPT-2 has none."""
    return config.get("rope_parameters") or {}


def add_hyperparameters(writer: "GGUFWriter", config: dict[str, Any]) -> None:
    """Write what llama.cpp has to know beside the weights; `config` has every field of its class."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    if config["model_type"] == "gpt2":
        writer.add_feed_forward_length(config["n_inner"] or 4 * width)
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    else:
        head = config.get("head_dim") or width // heads
        writer.add_feed_forward_length(config["intermediate_size"])
        writer.add_head_count_kv(config["num_key_value_heads"])
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
        writer.add_rope_freq_base(_rope(config)["rope_theta"])
        writer.add_rope_dimension_count(head)
        writer.add_key_length(head)
        writer.add_value_length(head)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_embedding_length(width)
    writer.add_head_count(heads)
    writer.add_vocab_size(config["vocab_size"])


def interleaved(weight: Array, heads: int) -> Array:
    """Rows of a query or key projection, [heads * width, ...], in llama.cpp's order.

    transformers turns entry i of a head together with entry i + width / 2, llama.cpp's `llama` entry
    2i with entry 2i + 1: the halves of each head's rows alternate there.
    """
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the folder: where it is, and how it is called and stored in GGUF."""

    file: Path
    source: str
    name: str
    shape: tuple[int, ...]
    kind: "GGMLQuantizationType"


def plan(folder: Path, config: dict[str, Any], kind: "GGMLQuantizationType") -> list[Tensor]:
    """Every tensor of the folder, in the order of files and names.

    Raises:
        FolioError: the architecture has no place for one of them.
    """
    import gguf
    from safetensors import safe_open

    architecture = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[config["model_type"]]
    places = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    found = []
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for source in sorted(tensors.keys()):
                name = places.get_name(source, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise FolioError(f"export knows no place for this model's tensor {source}; {CONVERTER}")
                shape = tuple(tensors.get_slice(source).get_shape())
                shape = shape[::-1] if _is_transposed(config, source) else shape
                found.append(Tensor(file, source, name, shape, _stored(name, shape, kind)))
    return found


def _stored(name: str, shape: tuple[int, ...], kind: "GGMLQuantizationType") -> "GGMLQuantizationType":
    """As llama.cpp's own converter: vectors and positions stay exact; rows that fill no blocks are f16."""
    import gguf

    if len(shape) == 1 or name == "position_embd.weight":
        return gguf.GGMLQuantizationType.F32
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return kind if shape[-1] % block == 0 else gguf.GGMLQuantizationType.F16


def _is_transposed(config: dict[str, Any], source: str) -> bool:
    # GPT-2's layers are Conv1D, whose weights are [in, out].
    return config["model_type"] == "gpt2" and source.endswith(
        ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    )


def load(tensor: Tensor, config: dict[str, Any]) -> Array:
    """The bytes of a tensor as they stand in the file.

    Raises:
        FolioError: it holds what is no number, or too large a one for its kind.
    """
    import gguf
    from safetensors import safe_open

    with safe_open(tensor.file, framework="pt") as tensors:
        weight: Array = tensors.get_tensor(tensor.source).float().numpy()
    if _is_transposed(config, tensor.source):
        weight = weight.T
    if config["model_type"] == "llama" and tensor.source.endswith(("q_proj.weight", "k_proj.weight")):
        heads = "num_attention_heads" if "q_proj" in tensor.source else "num_key_value_heads"
        weight = interleaved(weight, config[heads])
    if not np.abs(weight).max(initial=0) <= LARGEST[tensor.kind.name]:
        raise FolioError(
            f"{tensor.source} holds a number that {tensor.kind.name.lower()} cannot; set export.weights=bf16"
        )
    return gguf.quantize(np.ascontiguousarray(weight), tensor.kind)


def write(writer: "GGUFWriter", tensors: list[Tensor], config: dict[str, Any]) -> None:
    """Write the header, then one tensor after the other: no more than the largest is in memory."""
    import gguf

    for one in tensors:
        block, size = gguf.GGML_QUANT_SIZES[one.kind]
        length = math.prod(one.shape) // block * size
        writer.add_tensor_info(one.name, one.shape, np.dtype(np.float32), length, one.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for one in tensors:
        writer.write_tensor_data(load(one, config))
