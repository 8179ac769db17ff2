"""Instructions with responses: Dolly's, Alpaca's, and others whose fields have well-known names."""

from collections.abc import Iterator

from pydantic import Field

from stages.jsonl import Record
from stages.option import setting
from stages.tabular import Entry, Fields, Tabular
from stages.unusable import UnusableError

INSTRUCTION, INPUT, RESPONSE = "### Instruction:", "### Input:", "### Response:"


@setting
class Instruct(Tabular):
    """One instruction a row. Of each list of names the first that a row has is used.

    What stands under `addition` goes into the question, behind the instruction; what stands under `passage`
    is the passage. With `unwrap` a prompt in Alpaca's template is taken out of it.
    """

    instruction: list[str] = Field(min_length=1)
    addition: list[str]
    passage: list[str]
    answer: list[str] = Field(min_length=1)
    unwrap: bool

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield the entry of each row."""
        return self.each(self._entry)

    def _entry(self, row: Fields) -> Record:
        question = self.filled(row, self.name_in(row, self.instruction), "empty_question")
        if self.unwrap:
            question = _unwrapped(question)
        addition = self.optional(row, self.name_in(row, self.addition))
        return {
            "question": "\n\n".join(filter(None, (question, addition))),
            "answer": self.filled(row, self.name_in(row, self.answer), "empty_answer"),
            "passage": self.optional(row, self.name_in(row, self.passage)),
        }


def _unwrapped(prompt: str) -> str:
    """The instruction and the input of a prompt in Alpaca's template; any other prompt as it is."""
    _, mark, rest = prompt.partition(INSTRUCTION)
    if not mark or not rest.endswith(RESPONSE):
        return prompt
    parts = [part.strip() for part in rest.removesuffix(RESPONSE).split(INPUT, 1)]
    if not parts[0]:
        raise UnusableError("empty_question", f"nothing behind {INSTRUCTION}")
    return "\n\n".join(filter(None, parts))
