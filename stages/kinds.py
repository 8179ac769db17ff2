"""The kinds of questions: which a passage is asked for, so that each has its share, and which one is what."""

import re
from collections.abc import Mapping
from itertools import accumulate

from stages import cache
from stages.option import nearest

KINDS = ("fact", "list", "definition", "reason", "number")
# How a question's kind is known, in English.
FORMS = {
    "number": re.compile(r"how (?:many|much|often|long|far|old|large|high|soon)\b", re.IGNORECASE),
    "reason": re.compile(r"(?:why|how)\b", re.IGNORECASE),
    "definition": re.compile(
        r"what (?:is|are) \S+(?: \S+){0,4}\?$|what (?:do|does) \S+(?: \S+){0,4} mean\?$", re.IGNORECASE
    ),
    "list": re.compile(r"(?:what|which) (?:\S+s) (?:should|must|may|can|are|do)\b", re.IGNORECASE),
}


def fault_of_shares(shares: Mapping[str, float]) -> str | None:
    """What is wrong with the shares of the kinds, or None."""
    for name, share in shares.items():
        if name not in KINDS:
            return f".{name} is no kind of question ({', '.join(KINDS)}){nearest(name, KINDS)}"
        if share < 0:
            return f".{name}={share}: a share is 0 or more"
    return None if sum(shares.values()) > 0 else " are all 0: at least one kind needs a share"


def allot(shares: Mapping[str, float], count: int, text: str) -> dict[str, int]:
    """How many of a passage's `count` questions are to be of which kind; kinds without any are left out.

    Systematic sampling: `count` evenly spaced points, from a start that the passage's own text
    draws, fall on the line of the shares. So each kind gets its share of `count` rounded up or
    down, in the mean exactly, and what one passage is asked for hangs on no other passage.
    """
    names = [name for name in KINDS if shares.get(name)]
    ends = list(accumulate(shares[name] for name in names))
    start = int(cache.digest(text)[:12], 16) / 16**12
    chosen = [_at((start + number) / count * ends[-1], ends) for number in range(count)]
    return {name: chosen.count(place) for place, name in enumerate(names) if place in chosen}


def _at(point: float, ends: list[float]) -> int:
    # Rounding may put the last point on the very end.
    return next((place for place, end in enumerate(ends) if point < end), len(ends) - 1)


def kind_of(question: str, language: str) -> str:
    """The kind of a question, known by its opening in English; in other languages each is a fact."""
    known = (kind for kind, form in FORMS.items() if form.match(question))
    return next(known, "fact") if language == "en" else "fact"
