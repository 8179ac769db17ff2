"""Settings of the report stage."""

from pydantic import Field

from stages.option import setting


@setting
class Report:
    """How much the summary shows."""

    examples: int = Field(ge=0)
