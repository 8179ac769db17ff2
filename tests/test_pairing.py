from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.account import Account
from stages.language_model import load_tokenizer
from stages.pairing import Pair, encode, lay_out, mismatch


def pair(name: str, group: str, prompt: int = 2) -> Pair:
    """A prompt of so many tokens, a chosen answer of two and a rejected one of three."""
    number = int(name)
    return Pair(name, group, "preference", name, [1] * prompt, [number, 0, number, 9, 0], 2)


def record(chosen: str | None, rejected: str | None) -> dict[str, Any]:
    asked = [{"role": "user", "content": "did the team"}]
    return {"id": "a", "group": "b", "messages": asked, "chosen": chosen, "rejected": rejected}


def test_every_answer_serves_once_at_a_prompt_of_another_group() -> None:
    pairs = [pair(str(n), group) for n, group in enumerate("abacbaab", 10)]
    account = Account("mismatched")
    found = mismatch(pairs, 9, account)
    assert account.as_dict() == {"in": 8, "kept": 8, "dropped": {}}
    groups = {one.id: one.passage for one in pairs}
    others = [one.mismatched for one in found if one.mismatched]
    for own, other in zip(pairs, others, strict=True):
        assert (other.prompt, other.chosen) == (own.prompt, 2)
        assert groups[other.answer] != own.passage
        assert other.completion == pairs[int(other.answer) - 10].completion
    assert sorted(other.answer for other in others) == sorted(groups)
    assert [replace(one, mismatched=None) for one in found] == pairs


def test_what_finds_no_other_prompt_or_would_be_too_long_stays_without_and_is_counted() -> None:
    account = Account("mismatched")
    pairs = [pair("10", "a"), pair("11", "a"), pair("12", "a"), pair("13", "b"), pair("14", "c", 7)]
    found = mismatch(pairs, 9, account)
    assert account.as_dict() == {"in": 5, "kept": 3, "dropped": {"no_other_prompt": 1, "too_long": 1}}
    assert [one.mismatched is None for one in found] == [False, False, True, False, True]
    account = Account("mismatched")
    assert mismatch(pairs[:3], 9, account) == pairs[:3]
    assert account.dropped == {"no_other_prompt": 3}
    assert mismatch([], 9, account) == []


def test_answers_alone_are_counted_unless_they_are_asked_for(tiny_model: Path) -> None:
    tokenizer, account = load_tokenizer(tiny_model), Account("pairs")
    rows = [record("team", None), record(None, "did the"), record("team", "did the")]
    assert len(encode(tokenizer, rows, 60, account)) == 1
    assert account.as_dict() == {"in": 3, "kept": 1, "dropped": {"unpaired": 2}}
    good, bad, both = encode(tokenizer, rows, 60, Account("pairs"), both=False)
    assert [one.lengths() for one in (good, bad, both)] == [(3, 0), (0, 3), (3, 3)]
    assert [row.completion for one in (good, bad) for row in one.answers()] == [
        row.completion for row in both.answers()
    ]
    laid = lay_out([good, bad, both], 1, 0.0, "prefix")
    assert laid["lengths"].tolist() == [3, 0, 0, 3, 3, 3]
    assert laid["labels"].tolist() == [*good.completion, *bad.completion, *both.completion]
    assert laid["reference"].shape == (3, 2)


@pytest.mark.parametrize("packing", ["prefix", "rows", "none"])
def test_no_pair_is_laid_out_as_none(packing: Any) -> None:
    assert lay_out([], 1, 0.0, packing)["lengths"].tolist() == []
