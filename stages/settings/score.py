"""Settings of the score stage."""

from stages.option import setting


@setting
class Score:
    """Which of the chosen metrics is computed, and the seed of its intervals."""

    metric: str
    seed: int
