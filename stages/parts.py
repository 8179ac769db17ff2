"""What worker processes leave of each file: its chunks in a file of their own, and a few figures."""

import json
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from stages import jsonl, repeats
from stages.artifact import whole_file
from stages.document import Figures
from stages.lines import letters
from stages.measure import in_words


@dataclass(frozen=True)
class Part:
    """The figures of one file, and those of its chunks, in order."""

    figures: Figures
    signatures: bytes = b""
    words: Sequence[int] = ()
    letters: Sequence[int] = ()
    starts: Sequence[int] = field(default=())  # of the lines in the part file, and its end


def place(folder: Path, index: int) -> Path:
    """The part file of the document at `index`."""
    return folder / f"{index:07}.jsonl"


def save(target: Path, records: Sequence[jsonl.Record], figures: Figures) -> Part:
    """Write the chunks of one file and return what the parent process has to know of them."""
    lines = [jsonl.line(record).encode() for record in records]
    target.write_bytes(b"".join(lines))
    texts = [record["text"] for record in records]
    figures.chunks = len(records)
    return Part(
        figures,
        b"".join(map(repeats.signature, texts)),
        array("I", map(in_words, texts)),
        array("I", map(letters, texts)),
        array("Q", accumulate(map(len, lines), initial=0)),
    )


class Parts:
    """The chunks of all documents, in order; their texts stay on the disk."""

    def __init__(self, folder: Path, parts: Sequence[Part]) -> None:
        self._folder = folder
        self._parts = parts
        self._firsts = array("Q", accumulate((len(part.words) for part in parts), initial=0))
        self.words = array("I", (count for part in parts for count in part.words))
        self.signatures = b"".join(part.signatures for part in parts)

    def __len__(self) -> int:
        return len(self.words)

    def of_each(self, values: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Part what is known of every chunk by document."""
        for first, end in pairwise(self._firsts):
            yield values[first:end]

    def text(self, index: int) -> str:
        """The text of one chunk."""
        part = bisect_right(self._firsts, index) - 1
        starts = self._parts[part].starts
        line = index - self._firsts[part]
        with place(self._folder, part).open("rb") as file:
            file.seek(starts[line])
            return str(json.loads(file.read(starts[line + 1] - starts[line]))["text"])

    def write(self, target: Path, reasons: Iterable[Any]) -> Counter[str]:
        """Write the chunks that no reason drops, whole or not at all; return the letters of the others."""
        dropped: Counter[str] = Counter()
        with whole_file(target) as path, path.open("wb") as out:
            for (line, count), reason in zip(self._lines(), reasons, strict=True):
                if reason:
                    dropped[reason] += count
                else:
                    out.write(line)
        return dropped

    def _lines(self) -> Iterator[tuple[bytes, int]]:
        for index, part in enumerate(self._parts):
            if part.words:
                with place(self._folder, index).open("rb") as lines:
                    yield from zip(lines, part.letters, strict=True)
