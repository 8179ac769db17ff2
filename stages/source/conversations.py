"""Conversations of several turns: messages with role and content, or ShareGPT's with from and value."""

from collections.abc import Iterator

from pydantic import Field

from stages.conversation import Messages, alternating, message_of
from stages.jsonl import Record
from stages.option import setting
from stages.tabular import Entry, Fields, Tabular
from stages.unusable import UnusableError, excerpt, field

EMPTY = {"system": "empty_prompt", "user": "empty_question", "assistant": "empty_answer"}


@setting
class Conversations(Tabular):
    """One conversation a row; each of the assistant's turns is an answer, what stood before it its history.

    `turns` are the names under which a row may keep its turns, tried in order; `system` is a field beside
    them for a system prompt. One malformed turn refuses its whole conversation.
    """

    turns: list[str] = Field(min_length=1)
    system: str | None

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield an entry for each of the user's turns."""
        for line, messages in self.each(self._messages):
            if isinstance(messages, UnusableError):
                yield line, messages
            else:
                yield from ((line, entry) for entry in _questions(messages))

    def _messages(self, row: Fields) -> Messages:
        turns = field(row, self.name_in(row, self.turns))
        if not isinstance(turns, list):
            raise UnusableError("wrong_type", f"the turns are {excerpt(turns)}")
        if self.system and row.get(self.system) is not None:
            turns = [{"role": "system", "content": row[self.system]}, *turns]
        messages = [self.trimmed(message_of(turn)) for turn in turns]
        messages = [message for message in messages if message["role"] != "system" or message["content"]]
        if empty := next((message["role"] for message in messages if not message["content"]), None):
            raise UnusableError(EMPTY[empty])
        if all(message["role"] == "system" for message in messages):
            raise UnusableError("no_question", f"{len(turns)} turns")
        return alternating(messages)


def _questions(messages: Messages) -> Iterator[Record | UnusableError]:
    for index, message in enumerate(messages):
        if message["role"] != "user":
            continue
        if index + 1 == len(messages):
            yield UnusableError("no_answer", excerpt(message["content"]))
            return
        answer = messages[index + 1]["content"]
        yield {"question": message["content"], "answer": answer, "history": messages[:index]}
