"""Settings of a sweep."""

from pydantic import Field

from stages.option import setting


@setting
class Sweep:
    """What an optimising sweeper looks at."""

    objective: str = Field(pattern=r"^[\w/.-]+:[\w.]+$")
