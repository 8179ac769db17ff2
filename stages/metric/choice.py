"""Multiple choice: which option a model finds likeliest, and which one it writes."""

import math
import re
import string
from collections.abc import Sequence
from typing import ClassVar

from stages.errors import FolioError
from stages.figure import Metric
from stages.jsonl import Record
from stages.option import setting
from stages.words import ARTICLES

PUNCTUATION = str.maketrans("", "", string.punctuation)
# "B", "B.", "(b)"
LETTER = re.compile(r"\W*([A-Za-z])\W*")
# "B. Paris"
BOTH = re.compile(r"\s*\(?([A-Za-z])[.):]\s+(\S.*)", re.DOTALL)
# Within an answer: "(b)"; a capital before . ) : , ; or at the end; one that is no English word.
LABEL = re.compile(r"\(([A-Za-z])\)|\b([A-Z])(?=[.):,;]|\s*$)|\b([B-HJ-Z])(?![\w'’])")
BETWEEN = rf"(?:\W+(?:{'|'.join(sorted(ARTICLES))})\b)*\W+"


@setting
class Choice(Metric):
    """Shares of right choices, of answers whose record has options.

    `accuracy` takes the option with the lowest summed loss, `accuracy_per_token` the one with the lowest
    mean loss per token, which does not favour short options; of k options that tie each counts 1/k. `exact`
    is 1 where the answer is the right option's letter ("B", "B.", "(b)"), its text after SQuAD's
    normalisation, or both ("B. Paris"). `partial` is 1 where the answer names the right option, by letter or
    text, and no other; a text within a longer option's text is no mention of its own.
    """

    reads: ClassVar[tuple[str, ...]] = ("options", "option_losses")

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return four numbers of every answer; nothing where there are no options or the reference is none.

        Raises:
            FolioError: a record has not one list of losses for each option.
        """
        return [_values(row) for row in answers]


def _values(row: Record) -> dict[str, float]:
    options = row.get("options") or []
    right = named(row["reference"], options)
    if right is None:
        return {}
    losses = row.get("option_losses") or []
    if len(losses) != len(options) or not all(losses):
        raise FolioError(
            f"question {row.get('id')} has {len(options)} options and not as many option_losses; "
            "run `dvc repro --force baseline evaluate`"
        )
    sums = [math.fsum(one) for one in losses]
    means = [total / len(one) for total, one in zip(sums, losses, strict=True)]
    return {
        "accuracy": _credit(sums, right),
        "accuracy_per_token": _credit(means, right),
        "exact": float(named(row["answer"], options) == right),
        "partial": float(mentioned(row["answer"], options) == {right}),
    }


def _credit(losses: Sequence[float], right: int) -> float:
    lowest = min(losses)
    return (losses[right] == lowest) / losses.count(lowest)


def named(text: str, options: Sequence[str]) -> int | None:
    """The option that a text is, by its words or else by its letter; None where it is none or may be two."""
    same = [index for index, option in enumerate(options) if option.strip() == text.strip() != ""]
    if not same and (both := BOTH.fullmatch(text)):
        found = {_index(both[1], options), named(both[2], options)}
        if None not in found:
            return found.pop() if len(found) == 1 else None
    wanted = normal(text)
    same = same or [index for index, option in enumerate(options) if wanted and normal(option) == wanted]
    if same:
        return same[0] if len(same) == 1 else None
    letter = LETTER.fullmatch(text)
    return _index(letter[1], options) if letter else None


def mentioned(text: str, options: Sequence[str]) -> set[int]:
    """The options that a text names, by their words or their letters."""
    wordings = [_wording(option) for option in options]
    found = [(match.span(), at) for at, wording in enumerate(wordings) for match in wording.finditer(text)]
    spans = [span for span, _ in found]
    names = {at for span, at in found if not any(_within(span, other) for other in spans)}
    for start, end in spans:
        text = f"{text[:start]}{'_' * (end - start)}{text[end:]}"
    letters = (_index("".join(filter(None, match.groups())), options) for match in LABEL.finditer(text))
    return names | {index for index in letters if index is not None}


def normal(text: str) -> str:
    """SQuAD's normal form: small letters without punctuation, articles and needless blanks."""
    bare = text.lower().translate(PUNCTUATION)
    return " ".join(word for word in bare.split() if word not in ARTICLES)


def _index(letter: str, options: Sequence[str]) -> int | None:
    index = ord(letter.upper()) - ord("A")
    return index if index < len(options) else None


def _wording(option: str) -> re.Pattern[str]:
    """An option's words in their order, whatever stands between them, but for articles."""
    words = [word for word in re.findall(r"\w+", option) if word.lower() not in ARTICLES]
    if not words:
        return re.compile(r"(?!)")  # of signs or an article alone: nothing that could be found
    return re.compile(rf"(?<!\w){BETWEEN.join(map(re.escape, words))}(?!\w)", re.IGNORECASE)


def _within(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span != other and other[0] <= span[0] and span[1] <= other[1]
