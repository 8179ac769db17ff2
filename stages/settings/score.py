"""Settings of the score stage."""

from stages.option import setting


@setting
class Score:
    """Which of the chosen metrics is computed."""

    metric: str
