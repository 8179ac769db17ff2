"""Every finished generator call, kept by content in one SQLite file of the user's cache."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

from stages.errors import FolioError

TABLE = "CREATE TABLE IF NOT EXISTS calls (key TEXT PRIMARY KEY, reply TEXT NOT NULL) WITHOUT ROWID"


class Ledger:
    """A map from the digest of all that determines a call to its reply.

    Several processes may use the file at once (WAL). A batch is stored in one transaction, so a
    process that is killed leaves whole batches or none.
    """

    def __init__(self, path: Path) -> None:
        try:
            # Of two processes that turn a new file to WAL at once SQLite refuses one, timeout or not.
            with FileLock(f"{path}.lock"):
                # A writer waits this many seconds for another process's transaction.
                self._base = sqlite3.connect(path, timeout=60)
                self._base.execute("PRAGMA journal_mode=WAL")
                # A killed process loses nothing; a power cut may lose the last replies, not the file.
                self._base.execute("PRAGMA synchronous=NORMAL")
                with self._base:
                    self._base.execute(TABLE)
        except (sqlite3.Error, OSError) as error:
            raise FolioError(f"the ledger {path} cannot be opened: {error}; move it away") from error
        self._path = path
        self.stored = 0  # replies that this process paid for

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def get(self, keys: Sequence[str]) -> dict[str, Any]:
        """The replies that are known, by key."""
        query = "SELECT reply FROM calls WHERE key = ?"
        try:
            found = {key: self._base.execute(query, (key,)).fetchone() for key in keys}
        except sqlite3.Error as error:
            raise FolioError(f"the ledger {self._path} cannot be read: {error}; move it away") from error
        return {key: json.loads(row[0]) for key, row in found.items() if row}

    def put(self, replies: Mapping[str, Any]) -> None:
        """Store replies, all or none; a key that another process stored meanwhile keeps its reply.

        Raises:
            FolioError: the disk is full or the file is not writable.
        """
        self.stored += len(replies)
        rows = [(key, json.dumps(reply, ensure_ascii=False)) for key, reply in replies.items()]
        try:
            with self._base:
                self._base.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            raise FolioError(f"could not write the ledger {self._path}: {error}") from error

    def __len__(self) -> int:
        return int(self._base.execute("SELECT count(*) FROM calls").fetchone()[0])
