"""What rewards may push answers towards, unasked: figures beside them that count for nothing."""

from collections.abc import Sequence
from statistics import fmean

from stages.jsonl import Record
from stages.overlap import repeated_share, running_words
from stages.worth import is_empty

# Words of a run that counts as copied, or as repeated.
RUN = 4


def copied_share(answer: str, passage: str) -> float:
    """The share of the answer's runs of four words that stand in the passage; 0 for fewer words."""
    said, known = _runs(answer), set(_runs(passage))
    return sum(run in known for run in said) / len(said) if said else 0.0


def _runs(text: str) -> list[tuple[str, ...]]:
    words = running_words(text)
    return [tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)]


def probes(answers: Sequence[Record]) -> dict[str, float]:
    """Means over the answers that are not empty, six places, and the share of empty ones.

    `words` is their number, `copy` the share of runs of four words that stand in the passage, where
    there is one, `repetition` that of such runs that stood in the answer before. Without answers there is no
    figure.
    """
    if not answers:
        return {}
    found = {"empty": fmean(is_empty(row["answer"]) for row in answers)}
    said = [row for row in answers if not is_empty(row["answer"])]
    if said:
        words = [running_words(row["answer"]) for row in said]
        found["words"] = fmean(map(len, words))
        read = [row for row in said if row["passage"] is not None]
        if read:
            found["copy"] = fmean(copied_share(row["answer"], row["passage"]) for row in read)
        found["repetition"] = fmean(repeated_share(one, RUN) for one in words)
    return {name: round(value, 6) for name, value in found.items()}
