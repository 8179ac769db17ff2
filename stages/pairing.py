"""Preference pairs as token rows: a prompt with two answers, whose shared tokens are read once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stages.account import Account
from stages.jsonl import Record
from stages.packing import Packing, pack
from stages.prompt import answer_ids, chat_ids
from stages.tokens import Row
from stages.wording import RefusedError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pair(Row):
    """A row whose completion is the chosen answer and then the rejected one, each closed by EOS.

    As one row it has the length of a tree of both, by which steps and memory are reckoned. One of the two
    may be lacking, which is then empty.
    """

    chosen: int  # tokens of the chosen answer
    reference: tuple[float, float] = (0.0, 0.0)  # log-probabilities (nats) of both under the reference
    mismatched: "Pair | None" = None  # this prompt with the answers to another one

    def answers(self) -> list[Row]:
        """The chosen and the rejected answer, each as a row of its own; one that is lacking is left out."""
        both = self.completion[: self.chosen], self.completion[self.chosen :]
        named = self.id, self.passage, self.context, self.answer
        return [Row(*named, self.prompt, ids) for ids in both if ids]

    def lengths(self) -> tuple[int, int]:
        """Tokens of the chosen and of the rejected answer; 0 where it is lacking."""
        return self.chosen, len(self.completion) - self.chosen


def encode(
    tokenizer: Any, records: Iterable[Record], most: int, account: Account, both: bool = True
) -> list[Pair]:
    """Return the pairs of which both answers, each with the prompt, have at most `most` tokens.

    The others are dropped and counted, never cut, as are prompts that the chat template refuses, and
    with `both` those of which one answer alone is known.
    """
    pairs: list[Pair] = []
    for record in records:
        try:
            prompt = chat_ids(tokenizer, record["messages"])
        except RefusedError:
            account.drop("refused_by_the_chat_template")
            continue
        known = [record[side] for side in ("chosen", "rejected")]
        chosen, rejected = ([] if text is None else answer_ids(tokenizer, text) for text in known)
        if both and None in known:
            account.drop("unpaired")
        elif len(prompt) + max(len(chosen), len(rejected)) > most:
            account.drop("too_long")
        elif chosen == rejected:
            account.drop("same_tokens")
        else:
            account.keep()
            named = record["id"], record["group"], "preference", known[0] or known[1]
            pairs.append(Pair(*named, prompt, [*chosen, *rejected], len(chosen)))
    return pairs


def mismatch(pairs: Sequence[Pair], most: int, account: Account) -> list[Pair]:
    """The pairs, each with its prompt and another's answers as `mismatched`; every answer serves once.

    In the order of their groups the pairs are shifted by the largest group, so that the two are of
    different groups where none holds more than half of all. What has no other group, or would have more
    than `most` tokens, stays without and is counted.
    """
    order = sorted(range(len(pairs)), key=lambda i: (pairs[i].passage, pairs[i].id))
    shift = max(Counter(pair.passage for pair in pairs).values(), default=0)
    found = list(pairs)
    for place, i in enumerate(order):
        own, other = pairs[i], pairs[order[(place + shift) % len(order)]]
        if own.passage == other.passage:
            account.drop("no_other_prompt")
        elif len(own.prompt) + max(other.lengths()) > most:
            account.drop("too_long")
        else:
            account.keep()
            stranger = replace(own, answer=other.answer, completion=other.completion, chosen=other.chosen)
            found[i] = replace(own, mismatched=stranger)
    return found


def lay_out(pairs: Sequence[Pair], pad: int, pair_cost: float, packing: Packing) -> "dict[str, torch.Tensor]":
    """Lay pairs out as a micro-batch, the chosen answer of each before its rejected one.

    Returns:
        What `packing.pack` does of the answers, and lengths [2 pairs], the labels of each answer;
        reference [pairs, 2], the pairs' own.
    """
    import torch

    rows = [row for pair in pairs for row in pair.answers()]
    return pack(rows, pad, pair_cost, packing) | {
        "lengths": torch.tensor([n for pair in pairs for n in pair.lengths()], dtype=torch.long),
        "reference": torch.tensor([pair.reference for pair in pairs]).reshape(-1, 2),
    }
