"""A small model of random weights with a tokenizer of its own, as the stage create makes it."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from stages import cache
from stages.errors import FolioError
from stages.option import Dtype, Option, setting

BYTES = 256  # a byte-level vocabulary begins with them, so that no text is unknown to it
LONGEST = 64  # characters of a special token


@setting
class Scratch(Option):
    """Sizes of a vocabulary and of a GPT-2 (Radford et al., 2019) or Llama; create writes them to `path`."""

    stages: list[str]
    path: str
    vocabulary: int
    minimum_frequency: int = Field(ge=1)
    eos: str = Field(min_length=1)
    pad: str | None = Field(min_length=1)
    bos: str | None = Field(min_length=1)
    special: list[str]
    architecture: Literal["gpt2", "llama"]
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    width: int = Field(ge=1)
    context: int = Field(ge=128)  # the train stage reads rows of 96 tokens to see what memory they take
    dropout: float = Field(ge=0, lt=1)
    seed: int = Field(ge=0, lt=2**32)
    dtype: Dtype
    method: str
    maximum_tokens: int
    watch: str

    def special_tokens(self) -> list[str]:
        """Every special token once, in the order of their ids."""
        named = (self.eos, self.pad, self.bos, *self.special)
        return list(dict.fromkeys(token for token in named if token is not None))

    @model_validator(mode="after")
    def _no_token_is_another(self) -> "Scratch":
        if self.bos == self.eos:
            raise ValueError(
                f"model.bos and model.eos are both {self.eos}, so that a prompt would begin where an answer "
                "ends: name another token"
            )
        # A token of one character would be cut out of every word.
        if bad := [token for token in self.special_tokens() if not 2 <= len(token.strip()) <= LONGEST]:
            raise ValueError(
                f"{bad[0][: LONGEST + 1]!r} is no special token (model.eos, pad, bos, special); take 2 to "
                f"{LONGEST} characters"
            )
        return self

    @model_validator(mode="after")
    def _sizes_go_together(self) -> "Scratch":
        least = BYTES + len(self.special_tokens())
        if self.vocabulary < least:
            raise ValueError(
                f"model.vocabulary={self.vocabulary} has no room for {BYTES} bytes and "
                f"{least - BYTES} special tokens: set {least} or more"
            )
        if self.width % self.heads:
            raise ValueError(
                f"model.width={self.width} cannot be divided among model.heads={self.heads}: "
                f"set a width of {self.width + -self.width % self.heads}, or other heads"
            )
        if self.architecture == "llama" and self.width // self.heads % 2:
            raise ValueError(
                f"model.width={self.width} gives each of model.heads={self.heads} an odd width, which rotary "
                f"positions cannot turn: set a width of {2 * self.heads * -(-self.width // (2 * self.heads))}"
            )
        if self.context < self.maximum_tokens:
            raise ValueError(
                f"model.context={self.context} is less than tokenize.maximum_tokens={self.maximum_tokens}: "
                "raise the one or lower the other"
            )
        return self

    def check(self) -> None:
        """Every weight must learn."""
        if self.method != "full":
            raise FolioError(
                f"model=scratch has random weights, which method={self.method} would keep: add method=full"
            )

    @property
    def identity(self) -> str:
        """The folder and a digest of its content.

        Raises:
            FolioError: the model has not been made yet.
        """
        return f"{self.path}@{cache.digest(*cache.contents(self.folder()))}"

    def folder(self) -> Path:
        """Return the model's folder.

        Raises:
            FolioError: it has not been made yet.
        """
        path = Path(self.path)
        if not (path / "config.json").is_file():
            raise FolioError(f"{path} (model.path) holds no model yet; run `dvc repro`")
        return path
