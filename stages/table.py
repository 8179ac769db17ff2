"""Rows of a file, each with the line where it begins; a row that cannot be read stands as its reason."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from stages.errors import FolioError
from stages.fingerprint import fingerprint
from stages.unusable import UnusableError, attempt, excerpt

if TYPE_CHECKING:
    import pyarrow as pa

Rows = Iterator[tuple[int, Any]]
LONGEST = 8 * 2**20  # bytes of a row that are read into memory
REREAD = 16 * LONGEST  # bytes of a file that are read again after quotes that are not closed
BATCH = 64  # rows of a Parquet file at once
BOM = b"\xef\xbb\xbf"
OTHER_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class _Lines:
    """Lines of a file for `csv.reader` and others; it knows where the row began and how much that holds."""

    def __init__(self, handle: IO[bytes], quote: str | None) -> None:
        self._handle, self._quote = handle, (quote or "").encode()
        self._spare = REREAD
        self.number = 0
        if handle.read(len(BOM)) != BOM:
            handle.seek(0)
        self.begin()

    def begin(self) -> None:
        """A row begins."""
        self.first, self._start = self.number + 1, self._handle.tell()
        self._size = self._quotes = self._reads = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        room = LONGEST - self._size
        line = self._read(room + 1)
        if not line:
            raise StopIteration
        if len(line) > room:
            raise UnusableError("row_too_long", f"more than {LONGEST} bytes")
        return line.decode("utf-8", "surrogateescape")

    def _read(self, most: int) -> bytes:
        piece = self._handle.readline(most)
        self._ended = piece[-1:] in (b"\n", b"")
        self.number += piece[-1:] == b"\n"
        self._size += len(piece)
        self._reads += 1
        self._quotes += piece.count(self._quote) if self._quote else 0
        return piece

    def skip(self) -> None:
        """Go on behind a row that is too long: where its line ends and its quotes are closed, if ever."""
        while not self._ended or self._quotes % 2:
            if not self._read(LONGEST):
                self.restart()
                return

    def restart(self) -> None:
        """Go on behind the first line of a row that is no CSV: the others may be whole rows."""
        if self._reads > 1 and self._size <= self._spare:
            self._spare -= self._size
            self._handle.seek(self._start)
            self._handle.readline()
            self.number = self.first


def delimited(path: Path, columns: Sequence[str] | None, delimiter: str, quote: str | None) -> Rows:
    """Rows of a CSV or TSV file by the names of `columns`, or of its header; blank lines are none.

    Each is numbered by the line on which it begins. Where a quote is not closed, that line alone is
    refused, as far as the file can be told to go on behind it.

    Raises:
        FolioError: the header is no CSV or names a column twice.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    with path.open("rb") as handle:
        lines = _Lines(handle, quote)
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote or None, quoting=quoting, strict=True)
        names: Sequence[str] | None = columns
        for line, cells in _cells(reader, lines):
            if isinstance(cells, UnusableError) and names:
                yield line, cells
            elif isinstance(cells, UnusableError):
                raise FolioError(f"the header of {path}, line {line}, is no CSV: {cells.detail}")
            elif names is None:
                names = _header(path, cells)
            else:
                yield line, attempt(_named, names, cells)


def _cells(reader: Iterator[list[str]], lines: _Lines) -> Iterator[tuple[int, list[str] | UnusableError]]:
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except UnusableError as error:
            lines.skip()
            yield lines.first, UnusableError(error.reason, f"lines {lines.first} to {lines.number}")
        except csv.Error as error:
            lines.restart()
            extent = f", lines {lines.first} to {lines.number}" if lines.number > lines.first else ""
            yield lines.first, UnusableError("no_csv", f"{error}{extent}")
        else:
            if cells:
                yield lines.first, cells


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise FolioError(f"the header of {path} names the column {excerpt(twice)} twice; rename one")
    return names


def _named(names: Sequence[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(names):
        raise UnusableError(
            "wrong_columns", f"{len(cells)} columns in place of {len(names)}: {excerpt(cells)}"
        )
    return dict(zip(names, cells, strict=True))


def json_lines(path: Path) -> Rows:
    """Rows of JSON lines, numbered by line; blank lines are none."""
    with path.open("rb") as handle:
        lines = _Lines(handle, None)
        while True:
            lines.begin()
            try:
                text = next(lines)
            except StopIteration:
                return
            except UnusableError as error:
                lines.skip()
                yield lines.first, error
                continue
            if text.strip():
                yield lines.first, attempt(_parsed, text)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnusableError("no_json", excerpt(text.strip())) from error


def json_document(path: Path, key: str | None) -> Rows:
    """Rows of a JSON list, of the list under `key` of an object, or of JSON lines; a list's from 1.

    Raises:
        FolioError: it is none of these.
    """
    content = path.read_bytes().removeprefix(BOM).decode("utf-8", "surrogateescape")
    if content.lstrip()[:1] == "{" and key is None and _are_lines(content):
        yield from json_lines(path)
        return
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FolioError(f"{path} is no JSON: {error}; JSON lines belong in a file named .jsonl") from error
    del content
    if isinstance(value, dict) and key is not None:
        if key not in value:
            raise FolioError(f"{path} has no list under the key {key}, but {excerpt(list(value))}")
        value = value[key]
    if not isinstance(value, list):
        raise FolioError(f"{path} holds no list of rows; set `under` to the key it stands under")
    yield from enumerate(value, start=1)


def _are_lines(content: str) -> bool:
    first = content.lstrip().partition("\n")[0]
    return not isinstance(attempt(_parsed, first), UnusableError)


def parquet(path: Path, megabytes: float) -> Rows:
    """Rows of a Parquet file, from 1, a few in memory at once.

    Raises:
        FolioError: it is none, or holds more than `megabytes` unpacked.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
            size = sum(group.total_byte_size for group in groups)
            if size > megabytes * 1e6:
                raise FolioError(f"{path} unpacks to {size / 1e6:.0f} megabytes, more than its source allows")
            yield from _batched(file.iter_batches(batch_size=BATCH))
    except (pa.ArrowException, OSError) as error:
        raise FolioError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _batched(batches: "Iterator[pa.RecordBatch]") -> Rows:
    number = 0
    for batch in batches:
        for index in range(batch.num_rows):
            number += 1
            yield number, attempt(_row, batch, index)


def _row(batch: "pa.RecordBatch", index: int) -> dict[str, Any]:
    try:
        row: dict[str, Any] = batch.slice(index, 1).to_pylist()[0]
    except UnicodeDecodeError as error:
        raise UnusableError("wrong_encoding", excerpt(error.object[error.start : error.end + 20])) from error
    return row


def hub(name: str, revision: str, configuration: str | None, split: str) -> Rows:
    """Rows of a data set of the hub, from 1; no code of it is executed.

    Raises:
        FolioError: there is no such data set, no access, or no network.
    """
    from datasets import config, disable_progress_bars, load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    if Path(name).exists():  # it would be read in place of the hub's, whatever the revision
        raise FolioError(f"{name} is on this machine too; rename that folder, or name a file in it")
    disable_progress_bars()
    # Without a network the library takes the newest that it has kept of a data set, whatever the revision.
    kept = Path(config.HF_DATASETS_CACHE, fingerprint([revision, configuration]))
    try:
        rows = load_dataset(name, configuration, split=split, revision=revision, cache_dir=str(kept))
    except (DatasetNotFoundError, HfHubHTTPError) as error:
        raise FolioError(
            f"the hub gives no data set {name} at {revision}: check both; where it is gated or private, "
            "accept its terms there and set HF_TOKEN"
        ) from error
    except (DatasetsError, RuntimeError, ValueError) as error:
        raise FolioError(f"the data set {name} cannot be read: {excerpt(str(error))}") from error
    except OSError as error:  # ConnectionError and FileNotFoundError among them
        raise FolioError(
            f"the data set {name} is not on this machine and the hub cannot be reached; check the network, "
            "or name a file"
        ) from error
    tables = rows.with_format("arrow").iter(batch_size=BATCH)
    yield from _batched(batch for table in tables for batch in table.to_batches())


def checked(path: Path, megabytes: float) -> None:
    """Refuse a file that cannot be read.

    Raises:
        FolioError: it is missing, empty, too large or UTF-16.
    """
    try:
        with path.open("rb") as handle:
            start = handle.read(2)
    except OSError as error:
        raise FolioError(f"{path} cannot be read: {error.strerror}; name another file") from error
    size = path.stat().st_size
    if not size:
        raise FolioError(f"{path} is empty; name another file")
    if size > megabytes * 1e6:
        raise FolioError(f"{path} has {size / 1e6:.0f} megabytes, more than its source allows")
    if start in OTHER_BOMS:
        raise FolioError(f"{path} is {OTHER_BOMS[start]}; save it as UTF-8")
