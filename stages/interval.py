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


@dataclass(frozen=True)
class Draws:
    """The figures of a sample, and those of DRAWS draws of its passages; none of fewer than two passages."""

    values: dict[str, float]
    draws: dict[str, Array]
    passages: list[str]  # of each row

    def count(self) -> int:
        """Passages that were drawn from."""
        return len(set(self.passages))


def draw(sample: Sample, figures: Figures, seed: int) -> Draws:
    """Draw passages and compute the figures of every draw; the same seed draws the same passages."""
    names, sums = sample.sums()
    whole = _figures(names, sums.sum(0, keepdims=True), figures)
    parts = (
        [_figures(names, part @ sums, figures) for part in weights(len(sums), seed)] if len(sums) > 1 else []
    )
    draws = {name: np.concatenate([part[name] for part in parts]) for name in whole} if parts else {}
    return Draws({name: float(value[0]) for name, value in whole.items()}, draws, list(sample.passages))


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


def interval(found: Draws) -> dict[str, Interval]:
    """Each figure with its interval."""
    count = found.count()
    return {
        name: Interval(value, *_ends(found.draws.get(name), count)) for name, value in found.values.items()
    }


def _ends(draws: Array | None, passages: int) -> tuple[float | None, float | None]:
    if draws is None:
        return None, None
    share = tail(passages)
    low, high = np.quantile(draws, [share, 1 - share])
    return float(low), float(high)


def difference(
    base: Draws, tuned: Draws, lower_is_better: Sequence[str] = (), neutral: Sequence[str] = ()
) -> dict[str, Difference]:
    """Tuned less base on the same rows, of which the same seed drew the same passages.

    A neutral figure has no `improvement`.
    """
    if base.passages != tuned.passages:
        raise ValueError("the rows of base and tuned are not the same")
    count = base.count()
    found = {}
    for name, before in base.values.items():
        gap = tuned.draws[name] - base.draws[name] if base.draws else None
        better = None if gap is None or name in neutral else -gap if name in lower_is_better else gap
        found[name] = Difference(
            tuned.values[name] - before,
            *_ends(gap, count),
            None if better is None else float((better > 0).mean() + (better == 0).mean() / 2),
            None if gap is None else _detectable(gap, count),
        )
    return found


def _detectable(gap: Array, passages: int) -> float:
    """The difference that a two-sided test finds with POWER, from the spread of the draws (Cohen, 1988)."""
    error = float(gap.std()) * math.sqrt(passages / (passages - 1))
    return error * (student((1 + LEVEL) / 2, passages - 1) + NormalDist().inv_cdf(POWER))
