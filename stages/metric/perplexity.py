"""Perplexity of the reference answer, given the prompt."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from stages.figure import Metric
from stages.interval import Array, Columns
from stages.jsonl import Record
from stages.option import setting


@setting
class Perplexity(Metric):
    """exp of the mean loss per token of the reference, EOS included, prompt excluded."""

    reads: ClassVar[tuple[str, ...]] = ("token_losses",)
    lower_is_better: ClassVar[tuple[str, ...]] = ("perplexity",)

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return the summed loss (nats) and the number of tokens of every reference."""
        losses = (row["token_losses"] for row in answers)
        return [{"nats": math.fsum(row), "tokens": float(len(row))} for row in losses]

    def figures(self, totals: Columns, n: Array) -> dict[str, Array]:
        """Perplexity over all tokens: a long answer weighs more than a short one."""
        # Beyond e^700 a float overflows; such a model is broken, and the figure still says so.
        return {"perplexity": np.exp(np.minimum(totals["nats"] / totals["tokens"], 700.0))}
