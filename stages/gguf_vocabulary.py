"""A tokenizer's vocabulary, merges, marks and chat template as llama.cpp reads them."""

import json
from typing import TYPE_CHECKING, Any

from stages.errors import FolioError
from stages.gguf_weights import CONVERTER

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PreTrainedTokenizerBase

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
NAMED = ("bos", "eos", "unk", "pad")


def split_name(tokenizer: dict[str, Any]) -> str:
    """llama.cpp's name for how a byte-level BPE cuts text into words (llama-vocab.cpp).

    Args:
        tokenizer: the content of tokenizer.json.

    Raises:
        FolioError: it is no byte-level BPE, or cuts in a way that has no name here.
    """
    model, before = tokenizer["model"], tokenizer.get("pre_tokenizer") or {}
    parts = before.get("pretokenizers", [before])
    shape = [_told(part) for part in parts]
    known = {
        ("bytes by words",): "gpt-2",
        ("digits", "bytes by words"): "smollm",
        (QWEN2, "bytes"): "qwen2",
        (LLAMA3, "bytes"): "llama-bpe",
    }
    name = known.get(tuple(shape))
    normal = (tokenizer.get("normalizer") or {}).get("type")
    is_plain = model.get("type") == "BPE" and not model.get("byte_fallback") and not model.get("dropout")
    # Only of Llama 3's vocabulary llama.cpp takes a whole word before it merges.
    is_merged = bool(model.get("ignore_merges")) == (name == "llama-bpe")
    is_exact = normal is None or (normal == "NFC" and name == "qwen2")
    if name is None or not (is_plain and is_merged and is_exact):
        raise FolioError(
            f"export writes byte-level BPE tokenizers as GPT-2, SmolLM, Qwen2 and Llama 3 have; {CONVERTER}"
        )
    return name


def _told(part: dict[str, Any]) -> str:
    """One step of a pre-tokenizer, in as many words as tell it from others."""
    match part:
        case {"type": "ByteLevel", "add_prefix_space": False}:
            return "bytes by words" if part.get("use_regex", True) else "bytes"
        case {"type": "Digits", "individual_digits": True}:
            return "digits"
        case {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}:
            return str(regex)
        case _:
            return json.dumps(part)


def add_tokenizer(writer: "GGUFWriter", tokenizer: "PreTrainedTokenizerBase", size: int) -> None:
    """Write the tokenizer; rows of the embedding without a token, up to `size`, are unused.

    Raises:
        FolioError: llama.cpp would cut text into other tokens.
    """
    import gguf

    if not tokenizer.is_fast:
        raise FolioError(f"export writes tokenizers of the tokenizers library alone; {CONVERTER}")
    # What transformers makes of the files, which is what the model was trained with.
    source = json.loads(tokenizer.backend_tokenizer.to_str())
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split_name(source))
    tokens, kinds = [f"[PAD{index}]" for index in range(size)], [gguf.TokenType.UNUSED] * size
    for token, index in source["model"]["vocab"].items():
        tokens[index], kinds[index] = token, gguf.TokenType.NORMAL
    for added in source["added_tokens"]:
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], kinds[added["id"]] = added["content"], kind
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    merges = source["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    _add_marks(writer, tokenizer)


def _add_marks(writer: "GGUFWriter", tokenizer: "PreTrainedTokenizerBase") -> None:
    """Beginning, end and padding; whether text gets the first two by itself; the chat template."""
    for name in NAMED:
        index = getattr(tokenizer, f"{name}_token_id")
        if index is not None:
            getattr(writer, f"add_{name}_token_id")(index)
    ids = tokenizer("a").input_ids
    writer.add_add_bos_token(ids[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(ids[-1] == tokenizer.eos_token_id)
    writer.add_add_space_prefix(False)
    template = tokenizer.chat_template
    if isinstance(template, dict):  # of several, the one that is asked in
        template = template.get("default")
    if template:
        writer.add_chat_template(template)
