"""Tokenised rows on disk: Parquet with the prompt's and the completion's ids apart."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.artifact import whole_file
from stages.errors import FolioError


@dataclass(frozen=True)
class Row:
    """One training row; only `completion`, which ends in EOS, carries labels."""

    id: str
    passage: str  # the chunk's id
    context: str  # open: the prompt holds the passage; closed: it does not
    answer: str  # the reference, whose tokens `completion` holds
    prompt: list[int]
    completion: list[int]


def write(target: Path, rows: Sequence[Row]) -> None:
    """Write rows as Parquet, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = pa.list_(pa.int32())
    text = [(name, pa.string()) for name in ("id", "passage", "context", "answer")]
    schema = pa.schema([*text, ("prompt", ids), ("completion", ids)])
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
    with whole_file(target) as path:
        pq.write_table(table, path, compression="zstd")


def read(source: Path) -> list[Row]:
    """Read rows.

    Raises:
        FolioError: the file is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        records: list[dict[str, Any]] = pq.read_table(source).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise FolioError(f"{source} is missing or damaged; run `dvc repro tokenize`") from error
    return [Row(**record) for record in records]
