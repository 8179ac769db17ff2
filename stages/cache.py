"""The user's cache folder: what must survive a crash, or be shared by parallel experiments."""

import hashlib
import os
from pathlib import Path

import platformdirs

from stages.errors import FolioError


def folder() -> Path:
    """`FOLIO_CACHE`, else the platform's own folder for caches; made when it does not exist."""
    chosen = os.environ.get("FOLIO_CACHE") or platformdirs.user_cache_dir("folio")
    path = Path(chosen).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolioError(f"the cache {path} cannot be made: {error.strerror}; set FOLIO_CACHE") from error
    return path


def contents(folder: Path) -> list[str]:
    """Name and SHA-256 of every file of a folder, in the order of their names, for a digest of it."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as content:
            found += [str(path.relative_to(folder)), hashlib.file_digest(content, "sha256").hexdigest()]
    return found


def digest(*parts: object) -> str:
    """A key for a folder or a row: 32 hex digits over the parts' texts, order and bounds included."""
    seal = hashlib.sha256()
    for part in parts:
        text = part if isinstance(part, bytes) else str(part).encode()
        seal.update(len(text).to_bytes(8, "big") + text)
    return seal.hexdigest()[:32]
