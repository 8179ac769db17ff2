"""Of each chunk's pairs the best few, with each kind of question near its share."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from pydantic import Field, model_validator

from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.verdict import Verdict


@setting
class Choice(Option):
    """Reasons: `likelier_twin` (another question has this answer), `chunk_full`.

    Where a chunk has more pairs than room, each place goes to the kind that is furthest below its
    share of the document's pairs so far, and within the kind to the first pair, which is the likeliest.
    """

    pairs_per_chunk: int = Field(ge=1)
    shares: dict[str, float]

    @model_validator(mode="after")
    def _possible(self) -> "Choice":
        if not self.shares or min(self.shares.values()) < 0 or sum(self.shares.values()) <= 0:
            raise ValueError("filter.choice.shares are 0 or more each, and not all 0")
        return self

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Choose chunk by chunk; what one document holds changes nothing in another."""
        verdicts: dict[int, Verdict] = {}
        for _, document in groupby(range(len(pairs)), key=lambda i: pairs[i]["chunk"]["document"]):
            taken: Counter[str] = Counter()
            for _, chunk in groupby(document, key=lambda i: pairs[i]["chunk"]["id"]):
                verdicts |= self._of_chunk(pairs, list(chunk), taken)
        return [verdicts[i] for i in range(len(pairs))]

    def _of_chunk(self, pairs: Sequence[Record], left: list[int], taken: Counter[str]) -> dict[int, Verdict]:
        verdicts: dict[int, Verdict] = {}
        room = self.pairs_per_chunk
        while left:
            chosen = min(left, key=lambda i: (-self._wanting(pairs[i]["kind"], taken), left.index(i)))
            left.remove(chosen)
            verdicts[chosen] = Verdict("chunk_full" if room <= 0 else None)
            if room <= 0:
                continue
            room -= 1
            taken[pairs[chosen]["kind"]] += 1
            for twin in [i for i in left if _place(pairs[i]) == _place(pairs[chosen])]:
                verdicts[twin] = Verdict("likelier_twin")
                left.remove(twin)
        return verdicts

    def _wanting(self, kind: str, taken: Counter[str]) -> float:
        """How many pairs of a kind the next pair would leave it short of its share."""
        share = self.shares.get(kind, 0.0) / sum(self.shares.values())
        return share * (taken.total() + 1) - taken[kind]


def _place(pair: Record) -> tuple[list[int], str]:
    return pair["evidence"], pair["answer"]
