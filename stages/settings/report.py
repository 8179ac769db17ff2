"""Settings of the report stage."""

from pydantic import Field

from stages.option import setting


@setting
class Report:
    """What the verdict is about, and how much is shown."""

    main: str = Field(pattern=r"^\w+\.\w+$")
    forgetting: float = Field(ge=0)
    answers: int = Field(ge=0)
    examples: int = Field(ge=0)
