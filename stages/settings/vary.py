"""Settings of the vary stage."""

from collections import Counter
from collections.abc import Sequence
from inspect import signature
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from stages.option import nearest, setting
from stages.settings.evaluate import Sampling

Seed = Annotated[int, Field(ge=0, lt=2**32)]


@setting
class Decoding(Sampling):
    """A way of choosing tokens, under its own name."""

    name: str = Field(pattern=r"^[\w-]+$", max_length=40)
    control: str | None = None  # of a format with controls, by name; None: that of evaluate

    def where(self) -> str:
        """Its place in conf/."""
        return f"vary.settings, {self.name}"

    def knobs(self) -> dict[str, Any]:
        """Everything but the name, for the settings of an evaluation."""
        drawn = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        own = {} if self.control is None else {"control": self.control}
        return drawn | {"repetition_penalty": self.repetition_penalty} | own


def _from_line(line: Any) -> Any:
    """What stands in conf/ made a setting: a strict type takes no dictionary for one."""
    if not isinstance(line, dict):
        return line
    knobs = signature(Decoding).parameters
    for key in (key for key in line if key not in knobs):
        hint = nearest(str(key), knobs)
        raise ValueError(f"vary.settings, {line.get('name')}: {key} is not a setting{hint}")
    return Decoding(**line)


@setting
class Vary:
    """Which decoding settings are compared, on how many questions."""

    models: list[Literal["base", "tuned"]]
    settings: list[Annotated[Decoding, BeforeValidator(_from_line)]] = Field(min_length=1)
    seeds: list[Seed] = Field(min_length=1)
    questions: int = Field(ge=1)
    maximum_tokens: int = Field(ge=1)
    examples: int = Field(ge=0)
    seed: int

    @model_validator(mode="after")
    def _nothing_twice(self) -> "Vary":
        names = [one.name for one in self.settings]
        for key, values in (("models", self.models), ("seeds", self.seeds), ("settings", names)):
            if twice := _repeated(values):
                raise ValueError(f"vary.{key} holds {twice} twice; name each once")
        return self


def _repeated(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value, count in Counter(values).items() if count > 1)
