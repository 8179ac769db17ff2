"""What formats share: how a question is worded, and the template and tokens that its tokenizer is given."""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from stages.errors import FolioError
from stages.option import Option, setting

Turns = list[dict[str, str]]
Tokens = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


class RefusedError(FolioError):
    """A record that cannot be asked in this format; the message says why."""


@setting
class Format(Option):
    """What a model is asked, as text: a chat template, and the wording of the user's turn.

    Fields of the wordings are {question}, {passage} and {options}. The passage stands before the question,
    so that questions on one passage share what is computed of it.
    """

    own: ClassVar[frozenset[str]] = frozenset()
    """Fields of the wordings beside those."""

    template: str | None
    tokens: Tokens
    alone: str
    with_passage: str
    with_options: str

    @model_validator(mode="after")
    def _wordings(self) -> "Format":
        asked = {"question"} | self.own
        _check("alone", self.alone, asked)
        _check("with_passage", self.with_passage, {"passage"} | asked)
        _check("with_options", self.with_options, {"question", "options"})
        if self.with_passage.index("{passage}") > self.with_passage.index("{question}"):
            raise ValueError(
                "format.with_passage names {question} before {passage}; name the passage first, so that "
                "questions on one passage share it"
            )
        if len(set(self.tokens)) < len(self.tokens):
            raise ValueError("format.tokens names a token twice")
        return self

    @model_validator(mode="after")
    def _template(self) -> "Format":
        from jinja2 import TemplateSyntaxError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        # transformers has a tag of its own, of which nothing is left in the text.
        text = re.sub(r"{%-? *(end)?generation *-?%}", "", self.template or "")
        try:
            ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"]).parse(text)
        except TemplateSyntaxError as error:
            raise ValueError(f"format.template is no Jinja template: line {error.lineno}: {error}") from error
        return self

    def turns(self, record: Mapping[str, Any], with_passage: bool) -> Turns:
        """The conversation up to the answer: the record's history, and the question in the user's turn.

        The user's earlier turns are worded as questions without a passage, which they once were.

        Args:
            record: `question`, and where there are such things `passage`, `options` (lettered texts) and
                `history` (turns with role and content).
            with_passage: whether the passage is given; a record without one is asked alone.

        Raises:
            RefusedError: a text of the record spells one of the format's special tokens out.
        """
        passage = record.get("passage") if with_passage else None
        question, options, history = record["question"], record.get("options"), record.get("history") or ()
        texts = [question, passage or "", *(options or ()), *(turn["content"] for turn in history)]
        self._refuse_tokens(texts)
        own = self.fields(record)
        if options:
            question = self.with_options.format(question=question, options="\n".join(options))
        content = (
            self.alone.format(question=question, **own)
            if passage is None
            else self.with_passage.format(passage=passage, question=question, **own)
        )
        before = [
            {"role": turn["role"], "content": self.alone.format(question=turn["content"], **own)}
            if turn["role"] == "user"
            else {"role": turn["role"], "content": turn["content"]}
            for turn in history
        ]
        return [*before, {"role": "user", "content": content}]

    def fields(self, record: Mapping[str, Any]) -> dict[str, str]:
        """The values of the fields in `own`; none here.

        Raises:
            FolioError: the record is to be asked behind a control, which this format has not.
        """
        if record.get("control"):
            raise FolioError(
                f"format={self.name} has no controls, such as {record['control']}; set format=control"
            )
        return {}

    def _refuse_tokens(self, texts: list[str]) -> None:
        for token in self.tokens:
            if any(token in text for text in texts):
                raise RefusedError(
                    f"a question, its passage, options or history spells out {token}, a special token of "
                    f"format={self.name}; name the token otherwise, or leave the record out"
                )


def _check(name: str, wording: str, wanted: set[str]) -> None:
    """Refuse a wording that names other fields than it must, each once and bare."""
    try:
        parts = [part[1:] for part in Formatter().parse(wording) if part[1] is not None]
    except ValueError as error:
        raise ValueError(
            f"format.{name} is no text with fields: {error}; write a brace as {{{{ or }}}}"
        ) from error
    if sorted(str(field) for field, *_ in parts) != sorted(wanted) or any(
        spec or conversion for _, spec, conversion in parts
    ):
        fields = ", ".join(f"{{{field}}}" for field in sorted(wanted))
        raise ValueError(f"format.{name} must name each of {fields} once, and no other field")
