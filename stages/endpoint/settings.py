"""The knobs of every option that asks an OpenAI-compatible endpoint, and what they must be."""

import re
from collections.abc import Mapping
from string import Template
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from stages.option import Option, setting

# Format characters (Unicode's Cf), which nobody sees: a tag with some in it still looks like one.
UNSEEN = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0001-\U000e007f"
)
GAP = f"[\\s{UNSEEN}]*+"
# Brackets that would open or close one of the tags between which a prompt puts its material, or a turn
# of a chat: tokens of chat templates (ChatML, Llama, Gemma, Mistral, DeepSeek) count also within a text.
TAGS = re.compile(
    f"[<＜](?={GAP}[/／]?{GAP}(?:section|passage|question|answer|start_of_turn|end_of_turn)\\b)"
    f"|<(?={GAP}[|｜])|<(?=<{GAP}/?{GAP}SYS{GAP}>>)|\\[(?={GAP}/?{GAP}INST{GAP}\\])",
    re.IGNORECASE,
)


@setting
class Compatible(Option):
    """Where the endpoint is, how it is asked and what that may cost.

    `place` is the option's key in params.yaml, for the sentences that name one; `needed` and
    `offered` are the placeholders that the user's part of the prompt must hold and those that it may.
    """

    place: ClassVar[str]
    needed: ClassVar[frozenset[str]]
    offered: ClassVar[frozenset[str]] = frozenset()

    base_url: str
    model: str = Field(min_length=1)
    key: str
    prompt: dict[str, str]
    concurrency: int = Field(ge=1, le=512)
    temperature: float = Field(ge=0, le=2)
    seed: int
    maximum_tokens: int = Field(ge=16)
    structured: Literal["json_schema", "json_object", "none"]
    repeats: int = Field(ge=1, le=10)
    timeout: float = Field(gt=0, le=3600)
    tries: int = Field(ge=1, le=20)
    patience: float = Field(gt=0)
    budget_calls: int | None = Field(ge=0)
    budget_tokens: int | None = Field(ge=0)
    input_price: float | None = Field(ge=0)
    output_price: float | None = Field(ge=0)

    @model_validator(mode="after")
    def _reachable(self) -> "Compatible":
        # Neither sentence repeats the value: it may hold a key.
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", self.key):
            raise ValueError(
                f"{self.place}.key is the NAME of an environment variable (OPENAI_API_KEY), no key"
            )
        if fault := fault_of_url(self.base_url):
            raise ValueError(f"{self.place}.base_url {fault}")
        return self

    @model_validator(mode="after")
    def _fillable(self) -> "Compatible":
        if set(self.prompt) != {"system", "user"}:
            raise ValueError(f"{self.place}.prompt has two texts: system and user")
        user, may = Template(self.prompt["user"]), self.needed | self.offered
        if not user.is_valid() or not self.needed <= set(user.get_identifiers()) <= may:
            needed, offered = (", ".join(f"${n}" for n in sorted(s)) for s in (self.needed, self.offered))
            also = f", and may hold {offered}" if offered else " and no other placeholder"
            raise ValueError(f"{self.place}.prompt.user must hold {needed}{also}")
        return self

    @property
    def identity(self) -> str:
        """The model and where it is."""
        return f"{self.model} at {self.base_url}"

    def filled(self, values: Mapping[str, object]) -> tuple[str, str]:
        """What the system and the user say; no value can close its tags or begin a turn."""
        safe = {name: TAGS.sub("‹", str(value)) for name, value in values.items()}
        return self.prompt["system"], Template(self.prompt["user"]).substitute(safe)


def fault_of_url(url: str) -> str | None:
    """What is wrong with a base URL, without a word of it: it may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must begin with http:// or https:// and name a host"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "must hold no user, password, query or fragment: a key comes from the environment"
    return None
