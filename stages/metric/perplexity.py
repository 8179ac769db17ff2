"""Perplexity of the reference answer, given the prompt."""

import math
from collections.abc import Sequence
from typing import ClassVar

from stages.jsonl import Record
from stages.option import Option, setting


@setting
class Perplexity(Option):
    """exp of the mean loss per token of the reference, EOS included, prompt excluded."""

    # What it needs of a record besides its answer and reference.
    reads: ClassVar[tuple[str, ...]] = ("token_losses",)

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return the summed loss (nats) and the number of tokens of every reference."""
        losses = (row["token_losses"] for row in answers)
        return [{"nats": math.fsum(row), "tokens": float(len(row))} for row in losses]

    def summary(self, values: Sequence[dict[str, float]]) -> dict[str, float]:
        """Perplexity over all tokens: a long answer weighs more than a short one."""
        nats = math.fsum(value["nats"] for value in values)
        tokens = math.fsum(value["tokens"] for value in values)
        # Beyond e^700 a float overflows; such a model is broken, and the figure still says so.
        return {"perplexity": math.exp(min(nats / tokens, 700.0))}
