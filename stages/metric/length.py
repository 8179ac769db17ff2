"""How long an answer is, and whether it repeats itself, breaks off or says nothing."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from stages.figure import Metric
from stages.interval import Array, Columns
from stages.jsonl import Record
from stages.option import setting
from stages.overlap import repeated_share, running_words

N = 4  # words of a run that counts as repeated


@setting
class Length(Metric):
    """Words, tokens, ratio to the reference, and shares of answers that are degenerate.

    `repetition` is the share of an answer's word 4-grams that occurred in it before (seq-rep-4 of Welleck
    et al., 2020, arXiv:1908.04319); an answer of fewer than four words has none. Above `looping` of it the
    answer counts as looping. Of `repetition`, `looping`, `empty` and `cut_off` less is better. Of `words`,
    `tokens` and `ratio` neither more nor less is: they tell why other figures differ.
    """

    reads: ClassVar[tuple[str, ...]] = ("tokens", "cut_off")
    lower_is_better: ClassVar[tuple[str, ...]] = ("repetition", "looping", "empty", "cut_off")
    neutral: ClassVar[tuple[str, ...]] = ("words", "tokens", "ratio")

    looping: float = Field(gt=0, lt=1)

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return an answer's words and tokens, its reference's words, and the rest as 0 to 1."""
        return [self._values(row) for row in answers]

    def _values(self, row: Record) -> dict[str, float]:
        said = running_words(row["answer"])
        share = repeated_share(said, N)
        return {
            "words": float(len(said)),
            "reference_words": float(len(running_words(row["reference"]))),
            "tokens": float(row["tokens"]),
            "repetition": share,
            "looping": float(share > self.looping),
            "empty": float(not row["answer"].strip()),
            "cut_off": float(row["cut_off"]),
        }

    def figures(self, totals: Columns, n: Array) -> dict[str, Array]:
        """Means; `ratio` is of all answers' words to all references', so that short ones do not rule it."""
        ratio = totals["words"] / np.maximum(totals["reference_words"], 1)
        means = {name: total / n for name, total in totals.items() if name != "reference_words"}
        return means | {"ratio": ratio}
