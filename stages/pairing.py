"""Preference pairs as token rows: a prompt with two answers, whose shared tokens are read once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.account import Account
from stages.jsonl import Record
from stages.packing import Packing, pack
from stages.prompt import answer_ids, chat_ids
from stages.tokens import Row

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pair(Row):
    """A row whose completion is the chosen answer and then the rejected one, each closed by EOS.

    As one row it has the length of a tree of both, by which steps and memory are reckoned.
    """

    chosen: int  # tokens of the chosen answer
    reference: tuple[float, float] = (0.0, 0.0)  # log-probabilities (nats) of both under the reference

    def answers(self) -> list[Row]:
        """The chosen and the rejected answer, each as a row of its own."""
        both = self.completion[: self.chosen], self.completion[self.chosen :]
        return [Row(self.id, self.passage, self.context, self.answer, self.prompt, ids) for ids in both]


def encode(tokenizer: Any, records: Iterable[Record], most: int, account: Account) -> list[Pair]:
    """Return the pairs of which both answers, each with the prompt, have at most `most` tokens.

    The others are dropped and counted, never cut, as are prompts that the chat template refuses.
    """
    from jinja2 import TemplateError

    pairs: list[Pair] = []
    for record in records:
        try:
            prompt = chat_ids(tokenizer, record["messages"])
        except TemplateError:
            account.drop("refused_by_the_chat_template")
            continue
        chosen, rejected = (answer_ids(tokenizer, record[side]) for side in ("chosen", "rejected"))
        if len(prompt) + max(len(chosen), len(rejected)) > most:
            account.drop("too_long")
        elif chosen == rejected:
            account.drop("same_tokens")
        else:
            account.keep()
            named = record["id"], record["group"], "preference", record["chosen"]
            pairs.append(Pair(*named, prompt, [*chosen, *rejected], len(chosen)))
    return pairs


def lay_out(pairs: Sequence[Pair], pad: int, pair_cost: float, packing: Packing) -> "dict[str, torch.Tensor]":
    """Lay pairs out as a micro-batch, the chosen answer of each before its rejected one.

    Returns:
        What `packing.pack` does of the answers, and lengths [2 pairs], the labels of each answer;
        reference [pairs, 2], the pairs' own.
    """
    import torch

    rows = [row for pair in pairs for row in pair.answers()]
    return pack(rows, pad, pair_cost, packing) | {
        "lengths": torch.tensor([len(row.completion) for row in rows], dtype=torch.long),
        "reference": torch.tensor([pair.reference for pair in pairs]).reshape(-1, 2),
    }
