"""Of each chunk's pairs the best few, with each kind of question near its share."""

from collections import Counter
from collections.abc import Sequence

from pydantic import Field, model_validator

from stages.jsonl import Record
from stages.kinds import fault_of_shares
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.verdict import Verdict

# Of two pairs with one place and one answer a reader learns nothing more.
Twin = tuple[tuple[int, ...], str]


@setting
class Choice(Option):
    """Reasons: `same_answer` (of the same words; another question was chosen for it), `chunk_full`.

    Each place goes to the kind that is furthest below its share of the document's pairs so far, and
    within the kind to the first pair, which is the likeliest. A kind without a share comes last.
    """

    pairs_per_chunk: int = Field(ge=1)
    shares: dict[str, float]

    @model_validator(mode="after")
    def _possible(self) -> "Choice":
        if fault := fault_of_shares(self.shares):
            raise ValueError(f"filter.choice.shares{fault}")
        return self

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Choose chunk by chunk; what one document holds changes nothing in another."""
        verdicts: dict[int, Verdict] = {}
        taken: dict[str, Counter[str]] = {}
        chunks: dict[str, list[int]] = {}
        for place, pair in enumerate(pairs):
            chunks.setdefault(pair["chunk"]["id"], []).append(place)
        for places in chunks.values():
            document = pairs[places[0]]["chunk"]["document"]
            verdicts |= self._of_chunk(pairs, places, taken.setdefault(document, Counter()))
        return [verdicts[place] for place in range(len(pairs))]

    def _of_chunk(self, pairs: Sequence[Record], left: list[int], taken: Counter[str]) -> dict[int, Verdict]:
        verdicts: dict[int, Verdict] = {}
        for _ in range(self.pairs_per_chunk):
            if not left:
                break
            chosen = max(
                left, key=lambda place: self._wanting(pairs[place]["kind"], taken)
            )  # of equals the first
            taken[pairs[chosen]["kind"]] += 1
            twins = [place for place in left if _twin(pairs[place]) == _twin(pairs[chosen])]
            verdicts |= dict.fromkeys(twins, Verdict("same_answer")) | {chosen: Verdict()}
            left = [place for place in left if place not in verdicts]
        return verdicts | dict.fromkeys(left, Verdict("chunk_full"))

    def _wanting(self, kind: str, taken: Counter[str]) -> float:
        """How many pairs of a kind the next pair would leave it short of its share."""
        share = self.shares.get(kind, 0.0) / sum(self.shares.values())
        return share * (taken.total() + 1) - taken[kind]


def _twin(pair: Record) -> Twin:
    return tuple(pair["evidence"] or ()), pair["answer"]
