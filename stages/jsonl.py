"""Records as JSON lines: one object a line, UTF-8, written whole or not at all."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stages.artifact import whole_file
from stages.errors import FolioError

Record = dict[str, Any]


def read(source: Path) -> Iterator[Record]:
    """Yield each record of a file.

    Raises:
        FolioError: the file is missing, or a line is no JSON object; the line is named.
    """
    try:
        lines = source.open("rb")
    except FileNotFoundError as error:
        raise FolioError(f"{source} is missing; run `dvc repro`") from error
    with lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FolioError(f"{source}, line {number} is no JSON: {error}") from error
            if not isinstance(record, dict):
                raise FolioError(f"{source}, line {number} is not a JSON object")
            yield record


def line(record: Record) -> str:
    """A record as it stands in a file, its line end included."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def write(target: Path, records: Iterable[Record]) -> int:
    """Write records, whole or not at all, and return how many there were."""
    count = 0
    with whole_file(target) as path, path.open("w", encoding="utf-8") as lines:
        for record in records:
            lines.write(line(record))
            count += 1
    return count
