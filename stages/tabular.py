"""Sources that are read row by row, from a file or from a data set of the hub."""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, model_validator

from stages import table
from stages.errors import FolioError
from stages.jsonl import Record
from stages.option import setting
from stages.origin import Refusal, Source, record
from stages.unusable import UnusableError, attempt, excerpt, field, plain_text

T = TypeVar("T")
Entry = Record | UnusableError
Fields = Mapping[str, Any]
Character = Annotated[str, Field(min_length=1, max_length=1)]
DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
KNOWN = (*DELIMITERS, *LINES, ".json", ".parquet")


@setting
class Tabular(Source):
    """Rows of `path`: CSV, TSV, JSON lines, JSON or Parquet by its ending, or with `revision` a hub data set.

    A subclass turns rows into entries, or says why it cannot.
    """

    path: str = Field(min_length=1)
    revision: str | None = Field(pattern=r"^[0-9a-f]{40}$")
    configuration: str | None
    split: str = Field(min_length=1)
    delimiter: Character | None
    quote: Character | None
    columns: list[str] | None
    under: str | None
    megabytes: float = Field(gt=0)
    characters: int = Field(ge=1)

    @model_validator(mode="after")
    def _readable(self) -> "Tabular":
        if self.revision is None and Path(self.path).suffix.lower() not in KNOWN:
            raise ValueError(f"{self.key}.path={self.path} ends in none of {', '.join(KNOWN)}")
        if self.revision and not re.fullmatch(r"[\w.-]+/[\w.-]+", self.path):
            raise ValueError(f"{self.key}.path={self.path} is no name of the hub: owner/name")
        if self.revision and self.watch == self.path:
            raise ValueError(
                f"{self.key}.watch must name a file, since DVC cannot watch the hub: "
                f"set it to conf/source/{self.name}.yaml"
            )
        return self

    def check(self) -> None:
        """The file must be there; a data set of the hub is fetched when it is read."""
        if self.revision is None:
            try:
                table.checked(Path(self.path), self.megabytes)
            except FolioError as error:
                raise FolioError(f"{self.key}.path: {error}") from error

    @abstractmethod
    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield the line of each question and its entry, or the reason why there is none.

        An entry has `question`, `answer` and, where there are such, `passage`, `options` and `history`.
        """

    def records(self) -> Iterator[Record | Refusal]:
        """Yield a record for each question, or a refusal, in the order of the file."""
        document = self.path if self.revision else Path(self.path).name
        seen: dict[str, int] = {}
        for line, entry in self.entries():
            if isinstance(entry, UnusableError):
                yield Refusal(line, entry.reason, entry.detail)
                continue
            made = record(entry, document, line)
            if made["id"] in seen:
                yield Refusal(line, "duplicate", f"the same as {seen[made['id']]}")
                continue
            seen[made["id"]] = line
            yield made

    def each(self, read: Callable[[Fields], T]) -> Iterator[tuple[int, T | UnusableError]]:
        """What `read` makes of each row, or the `UnusableError` that it raises."""
        for line, row in self.numbered():
            yield line, row if isinstance(row, UnusableError) else attempt(read, row)

    def numbered(self) -> table.Rows:
        """Yield the line and the fields of each row, or the reason why it cannot be read.

        Raises:
            FolioError: the file or the data set cannot be read, or is too large.
        """
        try:
            for line, row in self._rows():
                is_wrong = not isinstance(row, dict | UnusableError)
                yield line, UnusableError("wrong_type", f"the row is {excerpt(row)}") if is_wrong else row
        except FolioError as error:
            raise FolioError(f"{self.key}.path: {error}") from error

    def _rows(self) -> table.Rows:
        if self.revision:
            return table.hub(self.path, self.revision, self.configuration, self.split)
        path = Path(self.path)
        table.checked(path, self.megabytes)
        suffix = path.suffix.lower()
        if suffix in DELIMITERS:
            delimiter = self.delimiter or DELIMITERS[suffix]
            return table.delimited(path, self.columns, delimiter, self.quote)
        if suffix in LINES:
            return table.json_lines(path)
        if suffix == ".parquet":
            return table.parquet(path, self.megabytes)
        return table.json_document(path, self.under)

    def text(self, row: Fields, name: str) -> str:
        """A field's text, without white space around it.

        Raises:
            UnusableError: it is missing or no text that can be used.
        """
        return plain_text(field(row, name), name, self.characters)

    def optional(self, row: Fields, name: str | None) -> str | None:
        """A field's text; None where there is no such field, or nothing in it."""
        return self.text(row, name) or None if name and row.get(name) is not None else None

    def filled(self, row: Fields, name: str, reason: str) -> str:
        """A field's text, in which there must be something, or else `reason`."""
        text = self.text(row, name)
        if not text:
            raise UnusableError(reason, f"{name} is empty")
        return text

    def name_in(self, row: Fields, names: Sequence[str]) -> str:
        """The first of the names under which a row has something; the first of all where there is none."""
        return next((name for name in names if row.get(name) is not None), *names[:1] or [""])

    def trimmed(self, message: dict[str, str]) -> dict[str, str]:
        """A message whose content has no white space around it.

        Raises:
            UnusableError: the content is no text that can be used.
        """
        return message | {"content": plain_text(message["content"], "a turn", self.characters)}
