"""A control token before each question says which kind of answer is wanted."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator

from stages.errors import FolioError
from stages.option import nearest, setting
from stages.wording import Format


@setting
class Control(Format):
    """As in CTRL (Keskar et al., 2019, arXiv:1909.05858), with special tokens of their own.

    `controls` are the tokens by name; a record may name its own as `control`.
    """

    own: ClassVar[frozenset[str]] = frozenset({"control"})

    controls: dict[str, str]
    control: str

    @model_validator(mode="after")
    def _known(self) -> "Control":
        if set(self.controls.values()) - set(self.tokens):
            raise ValueError("format.tokens must hold every token of format.controls")
        if self.control not in self.controls:
            raise ValueError(f"format.control={self.control} is none of {', '.join(self.controls)}")
        return self

    def fields(self, record: Mapping[str, Any]) -> dict[str, str]:
        """The token of the record's control, or of `control` where it names none.

        Raises:
            FolioError: there is no such control.
        """
        name = record.get("control") or self.control
        if name not in self.controls:
            raise FolioError(
                f"the control {name} is none of {', '.join(self.controls)} (format.controls)"
                f"{nearest(str(name), self.controls)}"
            )
        return {"control": self.controls[name]}
