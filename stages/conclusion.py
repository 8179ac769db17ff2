"""What a run shows, in plain words: did tuning help, by how much, is it real, and what speaks against it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

# metrics/score/<metric>.json: per context a cell of figures.
Cell = Mapping[str, Any]
Scores = Mapping[str, Mapping[str, Cell]]

Outcome = Literal["better", "worse", "same", "unsure", "neutral", "missing"]
"""What an interval says: it excludes 0 on the better or on the worse side, or contains it; there is none
(too few passages); neither side is better; the figure was not measured."""

CONTEXTS = {
    "open": "with the passage",
    "closed": "without the passage",
    "trained": "trained questions, without the passage",
}
CONTRARY = {"better": ("worse",), "same": ("worse",), "worse": ("better",)}
MOST_CONTRARY = 6  # figures named in the warning


@dataclass(frozen=True)
class Conclusion:
    """The outcome on the main figure, the sentences that say so, and warnings beside them."""

    outcome: Outcome
    verdict: tuple[str, ...]
    warnings: tuple[str, ...]


def conclude(
    scores: Scores, main: str, retained: Cell, audited: Mapping[str, Any], forgetting: float
) -> Conclusion:
    """Judge the run by its main figure, open book and closed book, and by what may spoil it.

    Args:
        scores: figures of every metric.
        main: the figure that the verdict is about, as `metric.figure`.
        retained: perplexity on general text, of metrics/retain.json.
        audited: questions that training saw, of metrics/audit.json.
        forgetting: rise of that perplexity, as a share of the base's, above which it is called forgetting.
    """
    metric, _, figure = main.partition(".")
    cells, first = scores.get(metric, {}), leading(scores)
    cell = cells.get(first, {})
    found = outcome(cell, figure)
    name = named(metric, figure)
    if found in ("missing", "neutral"):
        verdict: tuple[str, ...] = (_no_verdict(scores, main, found),)
    elif first == "open":
        verdict = (_leads(found, cell, figure, f"with the passage {name}"), _without(cells, figure))
    else:
        verdict = (_leads(found, cell, figure, name, _learnt(cells, figure)),)
    warnings = [
        *_leak_warnings(audited, cell, figure, found),
        *([f"Forgetting: {general(retained)}."] if forgot(retained, forgetting) else []),
        *_contradictions(scores, main, found),
    ]
    return Conclusion(found, verdict, tuple(warnings))


def leading(scores: Scores) -> str:
    """The context that the verdict is about: open, or closed where no question has a passage."""
    return "open" if any("open" in cells for cells in scores.values()) else "closed"


def outcome(cell: Cell, figure: str) -> Outcome:
    """What the interval of tuned less base says of one figure."""
    gap = cell.get("difference", {}).get(figure)
    if gap is None:
        return "missing"
    if gap["low"] is None:
        return "unsure"
    if gap["improvement"] is None:
        return "neutral"
    if gap["low"] <= 0 <= gap["high"]:
        return "same"
    # The share of draws in which tuned is better tells which side that is.
    return "better" if gap["improvement"] > 0.5 else "worse"


def named(metric: str, figure: str) -> str:
    """`squad f1`; a figure that is called as its metric does not say so twice."""
    return figure if figure == metric else f"{metric} {figure}"


def digits(value: float) -> str:
    """A figure with the places that help to read it."""
    if abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def range_of(gap: Cell) -> str:
    """`0.212 to 0.459`, of a figure that has an interval."""
    return f"{digits(gap['low'])} to {digits(gap['high'])}"


def change(cell: Cell, figure: str) -> str:
    """`rose from 0.408 to 0.743 (+0.335, 95% interval 0.212 to 0.459)`."""
    gap = cell["difference"][figure]
    before, after = (digits(cell[side][figure]["value"]) for side in ("base", "tuned"))
    verb = "rose" if gap["value"] > 0 else "fell"
    moved = f"{verb} from {before} to {after}" if gap["value"] else f"stayed at {before}"
    return f"{moved} ({signed(gap)})"


def signed(gap: Cell) -> str:
    """`+0.335, 95% interval 0.212 to 0.459`."""
    value = "+" * (gap["value"] > 0) + digits(gap["value"])
    return value if gap["low"] is None else f"{value}, 95% interval {range_of(gap)}"


def counts(cell: Cell) -> str:
    """`62 questions on 38 passages`; of questions that share none their number alone."""
    questions, passages = cell["n"], cell["passages"]
    told = f"{questions} question{'s' * (questions != 1)}"
    return told if questions == passages else f"{told} on {passages} passage{'s' * (passages != 1)}"


def _no_verdict(scores: Scores, main: str, found: Outcome) -> str:
    if found == "neutral":
        return f"No verdict: of {main} (report.main) neither more nor less is better; name another figure."
    known = [
        f"{metric}.{figure}"
        for metric, cells in scores.items()
        for figure in cells.get(leading(scores), {}).get("difference", {})
    ]
    if not known:
        return "No verdict: no figure could be measured on held-out questions."
    return (
        f"No verdict: {main} (report.main) was not measured; choose its metric in conf/config.yaml, "
        f"or name one of {', '.join(known)}."
    )


def _leads(found: Outcome, cell: Cell, figure: str, name: str, more: str = "") -> str:
    moved = f"{name} {change(cell, figure)}"
    match found:
        case "better":
            return f"Tuning helped: {moved}; {counts(cell)}{more}."
        case "worse":
            return f"Tuning made the answers worse: {moved}; {counts(cell)}{more}."
        case "same":
            return f"No difference was found: {moved}; {_blind(cell, figure)}{more}."
        case _:
            return f"Too few questions to tell: {moved}; {counts(cell)}, and an interval needs two passages."


def _blind(cell: Cell, figure: str) -> str:
    seen = digits(cell["difference"][figure]["detectable"])
    return f"the interval contains 0, and {counts(cell)} would detect only differences above {seen}"


def _without(cells: Mapping[str, Cell], figure: str) -> str:
    cell = cells.get("closed", {})
    found = outcome(cell, figure)
    if found == "missing":
        return "Without the passage it was not measured."
    moved = f"Without the passage it {change(cell, figure)}"
    match found:
        case "worse":
            return f"{moved}: these answers got worse{_learnt(cells, figure)}."
        case "same":
            return f"{moved}: {_blind(cell, figure)}{_learnt(cells, figure)}."
        case "unsure":
            return f"{moved}, on too few passages to tell."
        case _:
            return f"{moved}{_learnt(cells, figure)}."


def _learnt(cells: Mapping[str, Cell], figure: str) -> str:
    """Whether trained questions gained more than held-out ones: style serves both, memory the trained."""
    closed, trained = cells["closed"], cells.get("trained", {})
    found = outcome(trained, figure)
    if found in ("missing", "unsure"):
        return "; without trained questions beside them, that does not tell whether the document was learnt"
    held, own = closed["difference"][figure], trained["difference"][figure]
    gained = f"on trained questions it {change(trained, figure)}"
    if found != "better":
        return f"; {gained}, so nothing shows that the document was learnt"
    # The side that is better is the one on which the trained questions' interval lies.
    apart = own["low"] > held["high"] if own["low"] > 0 else own["high"] < held["low"]
    if apart:
        return f"; {gained}, clearly more: what was trained on was learnt"
    return f"; {gained}, not clearly more: that may be the style of the answers, not the document's content"


def _leak_warnings(audited: Mapping[str, Any], cell: Cell, figure: str, found: Outcome) -> Iterator[str]:
    if not audited["questions"]["affected"]:
        return
    clean = cell.get("clean", {})
    without = outcome(clean, figure)
    if without == "missing":
        yield f"Leakage: {leaks(audited)}."
        return
    stands = "the verdict stands" if without == found else "the verdict does not stand without them"
    yield f"Leakage: {leaks(audited)}. Without them {figure} {change(clean, figure)}: {stands}."


def leaks(audited: Mapping[str, Any]) -> str:
    """`2 of 62 held-out questions, or their passages, were seen in training (1 near passage, ...)`."""
    questions = audited["questions"]
    if not questions["affected"]:
        return f"none of {questions['in']} held-out questions was seen in training, nor its passage"
    reasons = [f"{count} {name.replace('_', ' ')}" for name, count in audited["reasons"].items() if count]
    told = f" ({', '.join(reasons)})" if reasons else ""
    verb = "its passage, was" if questions["affected"] == 1 else "their passages, were"
    return (
        f"{questions['affected']} of {questions['in']} held-out questions, or {verb} seen in training{told}"
    )


def forgot(retained: Cell, most: float) -> bool:
    """Whether perplexity on general text rose for sure, and by more than a share of the base's."""
    gap = retained.get("difference", {}).get("perplexity")
    if gap is None or gap["low"] is None or gap["low"] <= 0:
        return False
    return bool(gap["value"] > most * retained["base"]["perplexity"]["value"])


def general(retained: Cell) -> str:
    """`perplexity on 80 general texts rose from 18.2 to 18.9 (+0.700, 95% interval ...), that is +3.8%`."""
    if "difference" not in retained:
        return "perplexity on general text was not measured"
    share = retained["difference"]["perplexity"]["value"] / retained["base"]["perplexity"]["value"]
    moved = change(retained, "perplexity")
    return f"perplexity on {retained['n']} general texts {moved}, that is {share:+.1%}"


def _contradictions(scores: Scores, main: str, found: Outcome) -> Iterator[str]:
    contrary = [
        f"{named(metric, figure)} {CONTEXTS[context]} {change(cell, figure)}"
        for metric, cells in scores.items()
        for context, cell in cells.items()
        for figure in cell.get("difference", {})
        if f"{metric}.{figure}" != main  # of which the verdict speaks
        and outcome(cell, figure) in CONTRARY.get(found, ())
    ]
    if contrary:
        word = "worse" if found != "worse" else "better"
        more = len(contrary) - MOST_CONTRARY
        told = [*contrary[:MOST_CONTRARY], *([f"and {more} more"] if more > 0 else [])]
        yield f"Other figures contradict; {word} by their intervals: {'; '.join(told)}."
