"""What a filter says of a pair."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """`reason` None: the pair stands; `score`: the figure that decided; `evidence`: the located span."""

    reason: str | None = None
    score: float | None = None
    evidence: tuple[int, int] | None = None
