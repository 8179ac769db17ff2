"""Questions that their own generator finds likely."""

from collections.abc import Sequence

from pydantic import Field

from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.verdict import Verdict


@setting
class Likelihood(Option):
    """Reason: `unlikely`; a generator that gives no log-probabilities passes."""

    minimum: float = Field(le=0)

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Compare each question's mean natural-log probability per token with the minimum."""
        return [self._verdict(pair["score"]) for pair in pairs]

    def _verdict(self, score: float | None) -> Verdict:
        return Verdict("unlikely" if score is not None and score < self.minimum else None, score)
