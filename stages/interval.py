"""Intervals by bootstrap over passages: questions on one passage hang together."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Columns = Mapping[str, Array]
# Sums of columns and their count of rows to figures, for one or for many draws at once.
Figures = Callable[[Columns, Array], dict[str, Array]]

LEVEL = 0.95
DRAWS = 4000
# Draws whose weights are in memory at once.
PART = 256
POWER = 0.8  # of the test whose smallest detectable difference is told


@dataclass(frozen=True)
class Interval:
    """A figure with its 95% interval; without one where there are not two passages."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference(Interval):
    """Tuned less base, paired.

    `improvement` is the share of draws in which tuned is better; `detectable` the smallest
    difference that so many passages find in four of five experiments (two-sided, 5%).
    """

    improvement: float | None
    detectable: float | None


@dataclass(frozen=True)
class Sample:
    """Values of rows, and the passage that each row belongs to."""

    columns: Columns
    passages: Sequence[str]

    def sums(self) -> tuple[list[str], Array]:
        """Names of the columns, and their sums and number of rows: [passages, columns + 1]."""
        names = list(self.columns)
        _, place = np.unique(np.array(self.passages, dtype=np.str_), return_inverse=True)
        count = int(place.max()) + 1 if len(place) else 0
        stacked = [*(self.columns[name] for name in names), np.ones(len(place))]
        return names, np.stack([np.bincount(place, weights=column, minlength=count) for column in stacked], 1)


def weights(passages: int, seed: int) -> list[Array]:
    """How often each draw holds each passage: parts of [draws, passages], DRAWS draws in all."""
    chance = np.random.default_rng(seed)
    even = np.full(passages, 1 / passages)
    starts = range(0, DRAWS, PART)
    return [chance.multinomial(passages, even, min(PART, DRAWS - start)).astype(float) for start in starts]


def drawn(sample: Sample, figures: Figures, seed: int) -> tuple[dict[str, float], dict[str, Array]]:
    """The figures of a sample, and those of every draw, [DRAWS]; the same seed draws the same passages."""
    names, sums = sample.sums()
    whole = _figures(names, sums.sum(0, keepdims=True), figures)
    if len(sums) < 2:
        return {name: float(value[0]) for name, value in whole.items()}, {}
    parts = [_figures(names, part @ sums, figures) for part in weights(len(sums), seed)]
    draws = {name: np.concatenate([part[name] for part in parts]) for name in whole}
    return {name: float(value[0]) for name, value in whole.items()}, draws


def _figures(names: Sequence[str], sums: Array, figures: Figures) -> dict[str, Array]:
    return figures({name: sums[:, i] for i, name in enumerate(names)}, sums[:, -1])


def tail(passages: int) -> float:
    """The share of draws to cut off at each end, for an interval as wide as with Student's t.

    Plain percentiles are too narrow for few passages (Hesterberg, 2015, What Teachers Should Know About
    the Bootstrap, section 3.3, arXiv:1411.5279: the expanded percentile interval).
    """
    wide = math.sqrt(passages / (passages - 1)) * student((1 + LEVEL) / 2, passages - 1)
    return NormalDist().cdf(-wide)


def student(probability: float, freedom: int) -> float:
    """The quantile of Student's t, from SciPy."""
    from scipy.stats import t

    return float(t.ppf(probability, freedom))


def interval(sample: Sample, figures: Figures, seed: int) -> dict[str, Interval]:
    """Each figure with its interval."""
    values, draws = drawn(sample, figures, seed)
    count = len(set(sample.passages))
    return {name: Interval(value, *_ends(draws.get(name), count)) for name, value in values.items()}


def _ends(draws: Array | None, passages: int) -> tuple[float | None, float | None]:
    if draws is None:
        return None, None
    share = tail(passages)
    low, high = np.quantile(draws, [share, 1 - share])
    return float(low), float(high)


def difference(
    base: Sample, tuned: Sample, figures: Figures, seed: int, lower_is_better: Sequence[str] = ()
) -> dict[str, Difference]:
    """Tuned less base on the same rows, by a bootstrap that draws the same passages for both."""
    if list(base.passages) != list(tuned.passages):
        raise ValueError("the rows of base and tuned are not the same")
    before, draws_before = drawn(base, figures, seed)
    after, draws_after = drawn(tuned, figures, seed)
    count = len(set(base.passages))
    found = {}
    for name in before:
        gap = draws_after[name] - draws_before[name] if draws_after else None
        better = gap if gap is None or name not in lower_is_better else -gap
        found[name] = Difference(
            after[name] - before[name],
            *_ends(gap, count),
            None if better is None else float((better > 0).mean() + (better == 0).mean() / 2),
            None if gap is None else _detectable(gap, count),
        )
    return found


def _detectable(gap: Array, passages: int) -> float:
    """The difference that a two-sided test finds with POWER, from the spread of the draws (Cohen, 1988)."""
    error = float(gap.std()) * math.sqrt(passages / (passages - 1))
    return error * (student((1 + LEVEL) / 2, passages - 1) + NormalDist().inv_cdf(POWER))
