"""What a metric is: values for each answer, and figures made of their sums."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from stages.interval import Array, Columns
from stages.jsonl import Record
from stages.option import Option, setting


@setting
class Metric(Option):
    """One way to measure answers.

    A subclass's `__call__` returns a dictionary of numbers for every answer record; an empty one
    where the answer cannot be measured so, which is counted and in no figure. DVC watches `watch`, what
    it reads beside the answers, and `code`, a module or folder that it uses beside its own.
    """

    # What it needs of a record besides its answer and its reference.
    reads: ClassVar[tuple[str, ...]] = ()
    # Figures of which less is better, and those of which neither is.
    lower_is_better: ClassVar[tuple[str, ...]] = ()
    neutral: ClassVar[tuple[str, ...]] = ()

    watch: str = ""
    code: str = ""

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Values of every answer."""
        raise NotImplementedError

    def by(self) -> str:
        """The model that measures, which stands beside every figure; nothing where none does."""
        return ""

    def figures(self, totals: Columns, n: Array) -> dict[str, Array]:
        """Figures of many samples, [samples], from sums of the values over `n` answers each: means."""
        return {name: total / n for name, total in totals.items()}

    def summary(self, values: Sequence[dict[str, float]]) -> dict[str, float]:
        """The figures of one sample; nothing where no answer could be measured."""
        measured = [value for value in values if value]
        if not measured:
            return {}
        totals = {name: np.array([sum(value[name] for value in measured)]) for name in measured[0]}
        found = self.figures(totals, np.array([float(len(measured))]))
        return {name: float(value[0]) for name, value in found.items()}


@setting
class Configured(Metric):
    """A metric whose figures its settings name; `better` says of all of them which way is better."""

    better: Literal["higher", "lower", "neither"]

    def names(self) -> tuple[str, ...]:
        """The figures that `better` speaks of."""
        raise NotImplementedError

    @property
    def lower_is_better(self) -> tuple[str, ...]:  # type: ignore[override]
        """All figures or none."""
        return self.names() if self.better == "lower" else ()

    @property
    def neutral(self) -> tuple[str, ...]:  # type: ignore[override]
        """All figures or none."""
        return self.names() if self.better == "neither" else ()
