"""What a source is: questions with answers as records, and the rows that became none with their reasons."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import Field

from stages import split
from stages.fingerprint import alike, fingerprint, opening
from stages.jsonl import Record
from stages.option import Option, setting

# Every reason that a reader gives; docs/sources.md lists them for users.
REASONS = {
    "no_json": "the line is no JSON",
    "no_csv": "a quote is not closed, or something stands behind a closed one",
    "wrong_columns": "more or fewer columns than the header has",
    "row_too_long": "the row has more than 8 MiB",
    "wrong_encoding": "a field is no UTF-8",
    "no_unicode": "a field holds half a surrogate pair",
    "nul_byte": "a field holds a NUL",
    "field_too_long": "a field has more characters than the source's `characters`",
    "missing_field": "a field is missing or null",
    "wrong_type": "a field, or the row, is of another type than the shape has",
    "empty_question": "the question is empty",
    "empty_answer": "the answer is empty",
    "empty_prompt": "a turn before the answer is empty",
    "empty_passage": "the passage is empty where each question has one",
    "duplicate": "an earlier row has the same question, answer and passage",
    "unanswerable": "marked as a question that its passage does not answer",
    "empty_option": "an option before the last one is empty",
    "wrong_options": "fewer than two options, or more than 26",
    "label_out_of_range": "no option has this label",
    "wrong_role": "a turn is of no user, assistant or system",
    "wrong_order": "the turns of user and assistant do not alternate, beginning with the user's",
    "no_question": "no user's turn stands before the answer",
    "no_answer": "the assistant's turn to this question is missing",
    "answers_another_prompt": "the turns before the chosen answer are not the prompt's",
}  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """A question, or a whole row, of which no record was made: its 1-based line or row, and why.

    `reason` is one of `REASONS`; `detail` says in a short, printable text what was found.
    """

    line: int
    reason: str
    detail: str = ""


@setting
class Source(Option, ABC):
    """One origin of questions with answers, under the key `source.<name>`.

    `watch` is the file that DVC watches, `rows` how many records are
    used (0: all), chosen by hash and `seed`, `keep_share` the share of `records` that must be no refusals.
    """

    watch: str = Field(min_length=1)
    rows: int = Field(ge=0)
    seed: int
    keep_share: float = Field(ge=0, le=1)

    @property
    def key(self) -> str:
        """Where its settings stand in conf/."""
        return f"source.{self.name}"

    @abstractmethod
    def records(self) -> Iterator[Record | Refusal]:
        """Yield a record for each question, or a refusal, in the order of the file.

        A row that is malformed as a whole is one refusal.

        Raises:
            FolioError: the file cannot be read, or contradicts the settings.
        """

    def draw(self, records: Sequence[Record]) -> list[Record]:
        """The `rows` records that are used, in their order; the others are to be counted as `not_chosen`.

        A record's coming or going replaces one other at most.
        """
        if not self.rows or len(records) <= self.rows:
            return list(records)
        places = [split.position(record["id"], self.seed, "source") for record in records]
        chosen = sorted(range(len(records)), key=lambda index: (places[index], records[index]["id"]))
        return [records[index] for index in sorted(chosen[: self.rows])]


def record(entry: Record, document: str, line: int) -> Record:
    """A record of data/sources/ from a question, its answer and maybe a passage, options and a history.

    `id` is a digest of these. `chunk` is the digest of what must stay on one side of the split: of the
    passage, or else of the first thing that a user asks, whatever its case and white space.
    """
    passage = entry.get("passage")
    extra = {key: entry[key] for key in ("options", "history") if entry.get(key)}
    content = {"passage": passage, "question": entry["question"], "answer": entry["answer"]} | extra
    return {
        "id": fingerprint(content),
        "chunk": alike(passage or opening(entry)),
        "document": document,
        "line": line,
        "pages": None,
        **content,
    }
