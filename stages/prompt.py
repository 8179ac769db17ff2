"""What a model is asked, as token ids: the chat template's own text, with BOS once."""

from collections.abc import Mapping
from functools import cache as once
from typing import TYPE_CHECKING, Any

from stages.errors import FolioError
from stages.wording import Format, RefusedError, Turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase", form: Format, record: Mapping[str, Any], with_passage: bool
) -> list[int]:
    """Token ids of a record's question, up to where the assistant's answer begins.

    Args:
        tokenizer: of a model as `formatted` makes it, so that its template is the format's.
        form: how the question is worded.
        record: `question`, and where there are such things `passage`, `options` and `history`.
        with_passage: whether the passage is given, where there is one.

    Raises:
        RefusedError: the format or its chat template cannot ask this record.
        FolioError: the ids begin with two BOS.
    """
    return chat_ids(tokenizer, form.turns(record, with_passage))


def chat_ids(tokenizer: "PreTrainedTokenizerBase", turns: Turns) -> list[int]:
    """Token ids of a conversation, up to where the assistant's next answer begins.

    The template writes BOS itself, so the tokenizer must not add another.

    Raises:
        RefusedError: the chat template refuses the conversation, as some do a system prompt.
        FolioError: the ids begin with two BOS.
    """
    from jinja2 import TemplateError

    # A model that thinks aloud would spend the answer's tokens on it; other templates ignore this.
    try:
        text = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
    except TemplateError as error:
        reason = ascii(str(error))[:80]
        raise RefusedError(
            f"the chat template refuses a conversation: {reason}; choose another format"
        ) from error
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if tokenizer.bos_token_id is not None and ids[:2] == [tokenizer.bos_token_id] * 2:
        raise FolioError("the chat template writes BOS twice; mend the model's chat template")
    return ids


def answer_ids(tokenizer: "PreTrainedTokenizerBase", answer: str) -> list[int]:
    """Token ids of an answer, closed by EOS so that the model learns to stop.

    Where the chat template writes a space between prompt and answer ("Answer: Yes"), the answer begins
    with it.
    """
    return [*_continued(tokenizer, answer), tokenizer.eos_token_id]


def _continued(tokenizer: "PreTrainedTokenizerBase", answer: str) -> list[int]:
    template = tokenizer.chat_template
    gap = _gap(template, str(tokenizer.eos_token)) if isinstance(template, str) else ""
    ids: list[int] = tokenizer(f":{gap}{answer}" if gap else answer, add_special_tokens=False)["input_ids"]
    if not gap:
        return ids
    # A tokenizer may put a space of its own before whatever it is given; this one is to stand inside.
    before: list[int] = tokenizer(":", add_special_tokens=False)["input_ids"]
    if ids[: len(before)] == before:
        return ids[len(before) :]
    alone: list[int] = tokenizer(f"{gap}{answer}", add_special_tokens=False)["input_ids"]
    return alone


@once
def _gap(template: str, eos: str) -> str:
    """The white space that a chat template writes between the end of the prompt and the answer."""
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    question, answer = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
    given = {"chat_template": template, "enable_thinking": False, "eos_token": eos, "bos_token": ""}
    try:
        (prompt,), _ = render_jinja_template([[question]], add_generation_prompt=True, **given)
        (whole,), _ = render_jinja_template([[question, answer]], **given)
    except (TemplateError, TypeError, ValueError):  # the prompts themselves will be refused, in words
        return ""
    rest = whole[len(prompt) :] if whole.startswith(prompt) else ""
    gap = rest[: len(rest) - len(rest.lstrip())]
    return gap if rest[len(gap) :].startswith("y") else ""
