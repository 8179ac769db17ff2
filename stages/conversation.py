"""Conversations as data sets keep them: messages with a role, ShareGPT's turns, or a text alone."""

from collections.abc import Mapping
from typing import Any

from stages.unusable import UnusableError, excerpt, field, unicode_text

PROMPTS = ("conversations", "prompt", "messages")
# ShareGPT's names beside those of chat templates.
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
Messages = list[dict[str, str]]


def prompt_of(row: Mapping[str, Any]) -> Messages:
    """The conversation up to the answer, which a user's turn must end; blank system prompts are left out."""
    key = next((key for key in PROMPTS if key in row), None)
    if key is not None:
        value = row[key]
    elif isinstance(row.get("chosen"), list):
        value = row["chosen"][:-1]  # the prompt stands before the answer alone
    else:
        raise UnusableError("missing_field")
    turns = [{"role": "user", "content": value}] if isinstance(value, str) else value
    if not isinstance(turns, list):
        raise UnusableError("wrong_type")
    if row.get("system") is not None:  # as LLaMA-Factory keeps it
        turns = [{"role": "system", "content": row["system"]}, *turns]
    messages = [message_of(turn) for turn in turns]
    messages = [message for message in messages if message["role"] != "system" or message["content"].strip()]
    if not messages or messages[-1]["role"] != "user":
        raise UnusableError("no_question")
    if not all(message["content"].strip() for message in messages):
        raise UnusableError("empty_prompt")
    return messages


def answer_of(value: Any, messages: Messages) -> str:
    """The text of an answer, without white space around it; a list of messages may repeat the prompt."""
    if isinstance(value, list):
        if not value:
            raise UnusableError("empty_answer")
        before = [message for message in map(message_of, value[:-1]) if message["content"].strip()]
        if before and before not in (messages, messages[-len(before) :]):
            raise UnusableError("answers_another_prompt")
        value = value[-1]
    if isinstance(value, dict):
        message = message_of(value)
        if message["role"] != "assistant":
            raise UnusableError("wrong_role")
        value = message["content"]
    if not isinstance(value, str):
        raise UnusableError("wrong_type")
    if not value.strip():
        raise UnusableError("empty_answer")
    return unicode_text(value.strip())


def message_of(turn: Any) -> dict[str, str]:
    """A turn as role and content, by the names of chat templates or by ShareGPT's.

    Raises:
        UnusableError: it is no turn of user, assistant or system.
    """
    if not isinstance(turn, dict):
        raise UnusableError("wrong_type", f"a turn is {excerpt(turn)}")
    names = ("from", "value") if "from" in turn else ("role", "content")
    role, content = (field(turn, name) for name in names)
    if not isinstance(role, str) or not isinstance(content, str):
        raise UnusableError("wrong_type", f"a turn is {excerpt(turn)}")
    if role not in ROLES:
        raise UnusableError("wrong_role", excerpt(role))
    return {"role": ROLES[role], "content": unicode_text(content)}


def alternating(messages: Messages) -> Messages:
    """Messages that are, but for a system prompt before them, the user's and the assistant's in turn.

    Raises:
        UnusableError: they are not; many chat templates refuse them.
    """
    roles = [message["role"] for message in messages]
    turns = roles[roles[:1] == ["system"] :]
    if turns != ["user" if index % 2 == 0 else "assistant" for index in range(len(turns))]:
        raise UnusableError("wrong_order", excerpt(" ".join(roles)))
    return messages
