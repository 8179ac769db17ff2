"""Fertility: into how many tokens a tokenizer divides a word, a character and a byte (Rust et al., 2021)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stages.words import count

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SIDES = {"train": "training texts", "held_out": "held-out texts"}


def extent(texts: Sequence[str]) -> dict[str, int]:
    """How much text there is; words as `stages.words` counts them, bytes of UTF-8."""
    sizes = {"words": sum(map(count, texts)), "characters": sum(map(len, texts))}
    return {"texts": len(texts)} | sizes | {"bytes": sum(len(text.encode()) for text in texts)}


def fertility(
    tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Tokens of the texts, those that are unknown, and tokens per word, character and byte of their `sizes`.

    Special tokens around a text do not count. A rate over nothing is None.
    """
    rows: list[list[int]] = (
        tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    )
    tokens = sum(map(len, rows))
    unknown = tokenizer.unk_token_id
    rates = {
        f"per_{unit}": round(tokens / sizes[f"{unit}s"], 4) if sizes[f"{unit}s"] else None
        for unit in ("word", "character", "byte")
    }
    return {"tokens": tokens, "unknown": sum(row.count(unknown) for row in rows)} | rates


def compared(
    own: "PreTrainedTokenizerBase", stock: "PreTrainedTokenizerBase", sides: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Of each side how much text it is and what both tokenizers make of it."""
    found = {}
    for side, texts in sides.items():
        sizes = extent(texts)
        both = {"own": fertility(own, texts, sizes), "stock": fertility(stock, texts, sizes)}
        found[side] = sizes | both
    return found


def table(created: Mapping[str, Any]) -> list[dict[str, Any]]:
    """metrics/create.json as rows of the report: a side and a tokenizer each."""
    names = {"own": "own", "stock": str(created["stock"])}
    sizes = {name: created["vocabularies"][name] for name in names}
    return [
        {"side": title, "tokenizer": shown, "vocabulary": sizes[name], "words": found["words"]} | found[name]
        for side, title in SIDES.items()
        for found in [created["fertility"][side]]
        for name, shown in names.items()
    ]
