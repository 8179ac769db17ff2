import copy
from typing import Any

import pytest

from stages.errors import FolioError
from stages.gguf_vocabulary import LLAMA3, QWEN2, split_name

BYTES: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
BARE = BYTES | {"use_regex": False}
DIGITS = {"type": "Digits", "individual_digits": True}
PLAIN: dict[str, Any] = {
    "model": {"type": "BPE", "byte_fallback": False, "ignore_merges": False},
    "normalizer": None,
}


def split(regex: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def steps(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(parts)}}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"pre_tokenizer": BYTES}, "gpt-2"),
        (steps(DIGITS, BYTES), "smollm"),
        (steps(split(QWEN2), BARE), "qwen2"),
        (steps(split(QWEN2), BARE) | {"normalizer": {"type": "NFC"}}, "qwen2"),
        (steps(split(LLAMA3), BARE) | {"model": PLAIN["model"] | {"ignore_merges": True}}, "llama-bpe"),
    ],
    ids=["gpt-2", "smollm", "qwen2", "qwen2 normalised", "llama 3"],
)
def test_how_text_is_cut_has_the_name_that_llama_cpp_gives_it(changes: dict[str, Any], name: str) -> None:
    assert split_name(copy.deepcopy(PLAIN) | changes) == name


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": None},
        {"pre_tokenizer": BYTES | {"add_prefix_space": True}},
        {"pre_tokenizer": BYTES, "normalizer": {"type": "NFC"}},
        {"pre_tokenizer": BYTES, "model": PLAIN["model"] | {"byte_fallback": True}},
        {"pre_tokenizer": BYTES, "model": PLAIN["model"] | {"ignore_merges": True}},
        {"pre_tokenizer": BYTES, "model": {"type": "Unigram"}},
        steps(split(LLAMA3), BARE),
        steps(split(r"\s+"), BARE),
        steps(DIGITS | {"individual_digits": False}, BYTES),
    ],
)
def test_a_tokenizer_that_llama_cpp_would_read_otherwise_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FolioError, match=r"convert_hf_to_gguf\.py models/merged"):
        split_name(copy.deepcopy(PLAIN) | changes)
