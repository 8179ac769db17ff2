"""Settings of the merge stage."""

from pydantic import Field

from stages.option import setting


@setting
class Merge:
    """How closely the merged model must follow the tuned one."""

    tolerance: float = Field(gt=0)
    rows: int = Field(ge=1)
