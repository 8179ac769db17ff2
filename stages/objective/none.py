"""No alignment: what the train stage learnt is merged."""

from stages.option import Option, setting


@setting
class NoObjective(Option):
    """Makes no stage; no knobs."""

    stages: list[str]
    adapter: str
