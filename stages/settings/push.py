"""Settings of the push stage."""

import re
from typing import Literal

from pydantic import Field, model_validator

from stages.option import setting

# As the hub has them; two dots or two hyphens in a row it refuses itself.
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)


@setting
class Push:
    """To which repository of the hub a folder goes; the token is none of its settings."""

    stages: list[Literal["hub"]] = Field(max_length=1)
    repository: str
    folder: str = Field(min_length=1)
    private: bool
    message: str = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _named(self) -> "Push":
        if self.stages and not self.repository:
            raise ValueError("push.stages=[hub] needs push.repository=owner/name: there is no default")
        if self.repository and not NAME.fullmatch(self.repository):
            raise ValueError(f"push.repository={self.repository!r} is no name of a repository: owner/name")
        return self
