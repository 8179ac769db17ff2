import numpy as np
import pytest

from stages import interval
from stages.interval import Array, Columns, Sample


def mean(totals: Columns, n: Array) -> dict[str, Array]:
    return {"mean": totals["value"] / n}


def sample(values: list[float], passages: list[str]) -> Sample:
    return Sample({"value": np.array(values)}, passages)


def difference(base: Sample, tuned: Sample, lower: tuple[str, ...] = ()) -> interval.Difference:
    found = [interval.draw(one, mean, 0) for one in (base, tuned)]
    return interval.difference(*found, lower)["mean"]


def test_rows_of_a_passage_are_summed() -> None:
    names, sums = sample([1.0, 2.0, 4.0], ["b", "a", "b"]).sums()
    assert names == ["value"]
    assert sums.tolist() == [[2.0, 1.0], [5.0, 2.0]]


def test_the_tail_is_that_of_students_t() -> None:
    # t(0.975, 9) = 2.262157; times sqrt(10/9) it is 2.384516, beyond which the normal has 0.855%.
    assert interval.student(0.975, 9) == pytest.approx(2.262157, abs=1e-6)
    assert interval.tail(10) == pytest.approx(0.00855, abs=1e-5)
    # With many passages it is the usual 2.5%.
    assert interval.tail(100_000) == pytest.approx(0.025, abs=1e-5)


def test_one_passage_has_a_figure_and_no_interval() -> None:
    found = interval.interval(interval.draw(sample([1.0, 2.0], ["a", "a"]), mean, 0))["mean"]
    assert (found.value, found.low, found.high) == (1.5, None, None)
    same = sample([1.0, 2.0], ["a", "a"])
    gap = difference(same, same)
    assert (gap.value, gap.improvement, gap.detectable) == (0.0, None, None)


def test_two_passages_by_hand() -> None:
    # Of two passages a draw holds both once (1/2) or one twice (1/4 each): means 1.5, 1 and 2.
    found = interval.draw(sample([1.0, 2.0], ["a", "b"]), mean, 0)
    assert found.values == {"mean": 1.5}
    kinds, counts = np.unique(found.draws["mean"], return_counts=True)
    assert kinds.tolist() == [1.0, 1.5, 2.0]
    assert counts / interval.DRAWS == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_the_same_seed_gives_the_same_interval_and_the_order_of_rows_does_not_matter() -> None:
    values, passages = [n**1.5 for n in range(30)], [f"p{n % 12}" for n in range(30)]

    def found(values: list[float], passages: list[str], seed: int) -> dict[str, interval.Interval]:
        return interval.interval(interval.draw(sample(values, passages), mean, seed))

    one = found(values, passages, 3)
    assert one == found(values[::-1], passages[::-1], 3)
    assert one != found(values, passages, 4)


def test_a_model_that_is_better_everywhere_improves_for_certain_and_none_is_even() -> None:
    passages = [f"p{n}" for n in range(20)]
    base = sample([n / 20 for n in range(20)], passages)
    better = sample([n / 20 + 0.1 for n in range(20)], passages)
    gap = difference(base, better)
    assert gap.value == pytest.approx(0.1)
    assert gap.low == pytest.approx(0.1)
    assert gap.improvement == 1.0
    assert difference(base, better, ("mean",)).improvement == 0.0
    none = difference(base, base)
    assert (none.value, none.low, none.high, none.improvement) == (0.0, 0.0, 0.0, 0.5)


def test_rows_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="not the same"):
        difference(sample([1.0], ["a"]), sample([1.0], ["b"]))


def test_the_detectable_difference_is_that_of_the_t_test() -> None:
    # Normal differences of spread 1 on 100 passages: error 0.1, times t(0.975, 99) + z(0.8) = 1.984 + 0.842.
    chance = np.random.default_rng(0)
    gaps = chance.normal(size=100)
    gaps = (gaps - gaps.mean()) / gaps.std(ddof=1)
    passages = [f"p{n}" for n in range(100)]
    gap = difference(sample([0.0] * 100, passages), sample(list(gaps), passages))
    assert gap.detectable == pytest.approx(0.1 * (1.984 + 0.842), rel=0.03)


def clustered(chance: np.random.Generator, passages: int) -> tuple[Sample, Sample]:
    """One to four questions on each passage, which are alike; tuned is better by 0.1 on average."""
    counts = chance.integers(1, 5, passages)
    place = np.repeat(np.arange(passages), counts)
    # Passages of all sizes are equally hard, so that the mean over questions has the same expectation.
    level, gain = chance.beta(2, 2, passages), chance.normal(0.1, 0.15, passages)
    base = level[place] + chance.normal(0, 0.1, len(place))
    tuned = base + gain[place] + chance.normal(0, 0.1, len(place))
    names = [f"p{n}" for n in place]
    return sample(list(base), names), sample(list(tuned), names)


@pytest.mark.parametrize("passages", [15, 40])
def test_the_interval_covers_the_true_effect_in_93_to_97_of_100_draws(
    passages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interval, "DRAWS", 1500)
    chance = np.random.default_rng(12)
    hits = 0
    for _ in range(1000):
        gap = difference(*clustered(chance, passages))
        assert gap.low is not None
        assert gap.high is not None
        hits += gap.low <= 0.1 <= gap.high
    assert 930 <= hits <= 970
