"""Settings of the create stage."""

from pydantic import Field

from stages.option import Option, setting


@setting
class Create:
    """Whether a model is made from scratch, and what its tokenizer is compared with, on how many texts."""

    ready: list[str] = Field(max_length=0)
    stages: list[str]
    stock: Option
    texts: int = Field(ge=1)
