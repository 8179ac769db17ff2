"""How well numbers tell better answers from worse: accuracy, AUC and pair accuracy, with intervals."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.interval import Array, Columns, Draws, Sample, difference, draw, interval, weights

# Of the probability that an answer is a better one.
THRESHOLD = 0.5


def ranked(values: Array) -> Array:
    """Of pairs [pairs, 2], chosen and rejected: 1 where the chosen has the larger value, 1/2 of equals."""
    chosen, rejected = values[:, 0], values[:, 1]
    right: Array = (chosen > rejected) + (chosen == rejected) / 2
    return right


def auc(values: Array, is_better: npt.NDArray[np.bool_], counts: Array) -> Array:
    """The area under the ROC curve of draws that hold answer i `counts[:, i]` times: [draws].

    It is the share of all (better, worse) in which the better has the larger value, equals half
    (Hanley and McNeil, 1982, doi:10.1148/radiology.143.1.7063747).
    """
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))  # where another value begins
    good, bad = (
        np.add.reduceat(counts[:, order] * side[order], starts, axis=1) for side in (is_better, ~is_better)
    )
    below = bad.cumsum(axis=1) - bad
    area: Array = (good * (below + bad / 2)).sum(1) / (good.sum(1) * bad.sum(1))
    return area


def figures(probabilities: Array, groups: Sequence[str], seed: int) -> dict[str, Any]:
    """Of probabilities of being better [pairs, 2], chosen and rejected: figures with 95% intervals.

    `accuracy` is the share of answers on their side of 1/2, `auc` of single answers too, `pair_accuracy`
    the share of pairs in which the chosen answer has the higher probability. Groups are drawn whole.
    """
    columns = {
        "accuracy": ((probabilities > THRESHOLD) == [True, False]).mean(1),
        "pair_accuracy": ranked(probabilities),
    }
    found = interval(draw(Sample(columns, groups), _means, seed))
    found |= interval(_areas(probabilities, groups, seed))
    return {name: asdict(value) for name, value in found.items()}


def against_length(probabilities: Array, words: dict[str, Array], groups: Sequence[str], seed: int) -> Any:
    """What choosing by the number of words alone gets, and what the classifier has over that.

    `words` [pairs, 2] are those of chosen and rejected answers on both sides: the training pairs say whether
    the longer or the shorter answer is the better guess, which is then made of the validation pairs.
    """
    is_longer = bool(ranked(words["train"]).mean() >= 0.5)
    guess = ranked(words["validation"] if is_longer else -words["validation"])
    length, own = (
        draw(Sample({"pair_accuracy": column}, groups), _means, seed)
        for column in (guess, ranked(probabilities))
    )
    over = difference(length, own)["pair_accuracy"]
    return {
        "rule": "longer" if is_longer else "shorter",
        "pair_accuracy": asdict(interval(length)["pair_accuracy"]),
        "over_length": {name: getattr(over, name) for name in ("value", "low", "high")},
    }


def verdict(after: dict[str, Any], length: dict[str, Any]) -> str:
    """Whether the classifier is better than chance and than length alone, in words."""
    own, gap = after["pair_accuracy"], length["over_length"]
    by_length = f"choosing the {length['rule']} answer ({length['pair_accuracy']['value']:.3f})"
    if own["low"] is None:
        return "too few groups to tell whether it is better than chance"
    if own["low"] <= 0.5:
        return "not shown to be better than chance (0.5)"
    if gap["low"] <= 0:
        return f"better than chance, not shown to be better than {by_length}"
    return f"better than chance and than {by_length}"


def _means(totals: Columns, n: Array) -> dict[str, Array]:
    return {name: total / n for name, total in totals.items()}


def _areas(probabilities: Array, groups: Sequence[str], seed: int) -> Draws:
    """The AUC, and that of as many draws of the same groups as of any other figure."""
    values = probabilities.reshape(-1)
    is_better = np.tile([True, False], len(probabilities))
    names, place = np.unique(np.array(groups, dtype=np.str_), return_inverse=True)
    place = place.repeat(2)
    whole = auc(values, is_better, np.ones((1, len(values))))
    parts = weights(len(names), seed) if len(names) > 1 else []
    draws = (
        {"auc": np.concatenate([auc(values, is_better, part[:, place]) for part in parts])} if parts else {}
    )
    return Draws({"auc": float(whole[0])}, draws, list(groups))
