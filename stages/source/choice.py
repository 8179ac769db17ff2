"""Multiple choice: a question, its options, and the label of the right one: a number or a letter."""

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import Field

from stages.errors import FolioError
from stages.jsonl import Record
from stages.option import setting
from stages.tabular import Entry, Fields, Tabular
from stages.unusable import UnusableError, excerpt, field, plain_text

LETTERS = string.ascii_uppercase


@setting
class Choice(Tabular):
    """One question a row; the answer is the right option as it is lettered, "B. Aspirin".

    `options` names a field that holds a list of texts, or a column for each option. `base` says from where
    labels count. With `auto` they must tell: 0 occurs only where they count from 0, and the number of
    options only where they count from 1.
    """

    question: str
    options: str | list[str] = Field(min_length=1)
    label: str
    passage: str | None
    base: Literal[0, 1, "auto", "letter"]

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield the entry of each row, after a first reading that finds from where the labels count.

        Raises:
            FolioError: the labels contradict `base`, or do not tell it.
        """
        return self.each(partial(self._entry, self._base()))

    def _entry(self, base: Any, row: Fields) -> Record:
        question = self.filled(row, self.question, "empty_question")
        passage = self.optional(row, self.passage)
        texts, names = self._options(row)
        index = _index(field(row, self.label), names, base)
        if not 0 <= index < len(texts):
            label = f"{self.label} is {excerpt(row[self.label])}"
            raise UnusableError("label_out_of_range", f"{label}, of {len(texts)} options")
        options = [f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False)]
        return {"question": question, "answer": options[index], "passage": passage, "options": options}

    def _options(self, row: Fields) -> tuple[list[str], list[str] | None]:
        """Texts of the options, and where the row names them so their labels."""
        wanted = self.options
        found = [row.get(name) for name in wanted] if isinstance(wanted, list) else field(row, wanted)
        names, values = _parted(found)
        texts = [plain_text("" if value is None else value, "an option", self.characters) for value in values]
        while texts and not texts[-1]:
            texts.pop()  # a column for an option that this question has not
        if not all(texts):
            raise UnusableError("empty_option", excerpt(texts))
        if not 2 <= len(texts) <= len(LETTERS):
            raise UnusableError("wrong_options", f"{len(texts)} options")
        return _bare(texts), names

    def _base(self) -> Any:
        """From where labels count: 0, 1 or, where none is a number, "letter"."""
        if self.base == "letter":
            return self.base  # nothing to find: the file need not be read for it
        seen = Counter(sign for _, sign in self.each(self._sign) if isinstance(sign, str))
        first, last, between = seen["first"], seen["last"], seen["between"]
        where = f"{self.label} in {self.path}"
        against = {0: last, 1: first}
        if self.base in against and against[self.base] and not against[1 - self.base]:
            found = "0" if first else "the number of options"
            raise FolioError(
                f"{self.key}.base={self.base}, but {where} counts from {1 - self.base}: {first or last} rows "
                f"have {found}, and none the reverse; set {self.key}.base={1 - self.base}"
            )
        if self.base == "auto" and bool(first) == bool(last) and first + between:
            raise FolioError(
                f"{self.key}.base=auto cannot tell whether {where} counts from 0 or from 1: {first} rows "
                f"have 0 and {last} the number of options; set it to 0 or 1"
            )
        return self.base if self.base != "auto" else 0 if first else 1 if last else "letter"

    def _sign(self, row: Fields) -> str:
        """What a row's label tells of the others."""
        texts, names = self._options(row)
        number = _number(field(row, self.label))
        if names or number is None:
            return "letter"
        return {0: "first", len(texts): "last"}.get(number, "between" if 0 < number < len(texts) else "none")


def _parted(found: Any) -> tuple[list[str] | None, Sequence[Any]]:
    """Labels, where there are such, and texts: of a list, {text, label}, {A: text} or [{label, text}]."""
    if isinstance(found, dict) and isinstance(found.get("text"), list):
        names, values = found.get("label"), found["text"]
    elif isinstance(found, dict):
        names, values = list(found), list(found.values())
    elif isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
        names, values = [one.get("label") for one in found], [one.get("text") for one in found]
    else:
        names, values = None, found
    is_named = names is None or (isinstance(names, list) and len(names) == len(values))
    if not isinstance(values, list) or not is_named:
        raise UnusableError("wrong_type", f"the options are {excerpt(found)}")
    return names and [str(name).strip() for name in names], values


def _bare(texts: list[str]) -> list[str]:
    """The options without letters of their own, "A. " or "(a) ", where each has its."""
    found = [re.fullmatch(r"\(?([A-Za-z])[.):]\s+(\S.*)", text, re.DOTALL) for text in texts]
    own = [match[1].upper() for match in found if match]
    return [match[2] for match in found if match] if own == list(LETTERS[: len(texts)]) else texts


def _number(label: Any) -> int | None:
    """A label as a number; None where it is a letter or a name."""
    if isinstance(label, bool) or not isinstance(label, int | float | str):
        raise UnusableError("wrong_type", f"the label is {excerpt(label)}")
    if isinstance(label, float):
        return int(label) if label.is_integer() else None
    if isinstance(label, int):
        return label
    digits = re.fullmatch(r"\s*(-?\d{1,9})(?:\.0)?\s*", label)
    return int(digits[1]) if digits else None


def _index(label: Any, names: list[str] | None, base: Any) -> int:
    """The position of a label, from 0; -1 where there is no such label."""
    number, text = _number(label), str(label).strip()
    if names:
        return names.index(text) if names.count(text) == 1 else -1
    if number is None:
        return LETTERS.find(text.upper()) if len(text) == 1 else -1
    return number - base if base in (0, 1) else -1
