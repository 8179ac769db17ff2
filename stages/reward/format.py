"""Whether an answer has a given form."""

from collections.abc import Sequence

from pydantic import Field, model_validator

from stages.jsonl import Record
from stages.option import setting
from stages.worth import Reward


@setting
class Format(Reward):
    """1 where a regular expression matches the whole answer, else 0.

    The expression is one of RE2 (through Arrow), which has neither backreferences nor lookaround and
    takes time linear in the answer's length: no answer, however long, can make it run away.
    """

    pattern: str = Field(min_length=1, max_length=2000)

    @model_validator(mode="after")
    def _compiles(self) -> "Format":
        from pyarrow import ArrowInvalid

        try:
            _matches(["x"], self.pattern)  # alone: "a)(b" would be one between parentheses
            _matches(["x"], self._whole)
        except ArrowInvalid as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"reward.format.pattern={self.pattern[:60]!r} is no regular expression of RE2, which has no "
                f"lookaround and no backreferences: {reason}"
            ) from error
        return self

    def __call__(self, answers: Sequence[Record]) -> list[float]:
        """Return 1 or 0 for every answer."""
        return [float(fits) for fits in _matches([row["answer"] for row in answers], self._whole)]

    @property
    def _whole(self) -> str:
        return rf"\A(?:{self.pattern})\z"


def _matches(texts: Sequence[str], pattern: str) -> list[bool]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[bool] = pc.match_substring_regex(pa.array(texts, pa.string()), pattern).to_pylist()
    return found
