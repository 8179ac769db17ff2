from pathlib import Path

import pytest

from stages.fertility import compared, extent, fertility, table
from stages.language_model import load_tokenizer


def test_rates_are_those_counted_by_hand(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    # Each letter of "xyz" is a token; "é" is two bytes and as many tokens.
    text = ["xyz xyz", "é"]
    assert extent(text) == {"texts": 2, "words": 3, "characters": 8, "bytes": 9}
    assert [len(row) for row in tokenizer(text)["input_ids"]] == [7, 2]
    found = fertility(tokenizer, text, extent(text))
    assert found == {"tokens": 9, "unknown": 0, "per_word": 3.0, "per_character": 1.125, "per_byte": 1.0}


def test_no_text_has_no_rate(tiny_model: Path) -> None:
    found = fertility(load_tokenizer(tiny_model), [], extent([]))
    assert found == {"tokens": 0, "unknown": 0} | dict.fromkeys(("per_word", "per_character", "per_byte"))


def test_unknown_tokens_are_counted(tiny_model: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "team": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    stock = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
    found = compared(load_tokenizer(tiny_model), stock, {"train": ["the team sails", "sails"]})
    assert found["train"]["stock"] == pytest.approx(
        {"tokens": 4, "unknown": 2, "per_word": 1.0, "per_character": 0.2105, "per_byte": 0.2105}
    )
    assert found["train"]["own"]["unknown"] == 0


def test_the_reports_table_has_a_row_for_each_side_and_tokenizer() -> None:
    rates = {"tokens": 3, "unknown": 0, "per_word": 1.5, "per_character": 0.3, "per_byte": 0.3}
    side = {"words": 2, "own": rates, "stock": rates | {"per_word": 1.0}}
    made = {"stock": "some-model", "vocabularies": {"own": 300, "stock": 900}}
    rows = table(made | {"fertility": {"train": side, "held_out": side}})
    assert [(row["side"], row["tokenizer"], row["vocabulary"], row["per_word"]) for row in rows] == [
        ("training texts", "own", 300, 1.5), ("training texts", "some-model", 900, 1.0),
        ("held-out texts", "own", 300, 1.5), ("held-out texts", "some-model", 900, 1.0),
    ]  # fmt: skip
