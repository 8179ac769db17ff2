"""What the pipeline has asked about your documents, each pair with its passage, page and evidence."""

from collections.abc import Iterator
from pathlib import Path

from stages import jsonl
from stages.jsonl import Record
from stages.option import setting
from stages.origin import Refusal, Source


@setting
class Pairs(Source):
    """The pairs of data/qa.jsonl, as verify has kept them."""

    def records(self) -> Iterator[Record | Refusal]:
        """Yield every pair."""
        yield from jsonl.read(Path(self.watch))
