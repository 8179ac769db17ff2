"""Files and folders that are written whole or not at all."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.errors import FolioError

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
WORDS = ("No space left on device", "file write failed")


def is_refusal(error: Exception) -> bool:
    """Whether the disk is full or a place may not be written."""
    # safetensors and torch report a full disk in words of their own, not as an OSError.
    return getattr(error, "errno", None) in REFUSALS or any(words in str(error) for words in WORDS)


@contextlib.contextmanager
def _staged(target: Path, make: Any) -> Iterator[Path]:
    staged: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep_up(target)
        staged = Path(make(prefix=f".{target.name}.", dir=target.parent))
        yield staged
        if staged.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            _open_to_readers(staged)
        staged.replace(target)
    except Exception as error:
        if not is_refusal(error):
            raise
        raise FolioError(
            f"could not write {target}: {getattr(error, 'strerror', None) or error}; "
            "free some space or check the folder's permissions, then run again"
        ) from error
    finally:
        if staged and staged.is_dir():
            shutil.rmtree(staged, ignore_errors=True)
        elif staged:
            staged.unlink(missing_ok=True)


def _open_to_readers(folder: Path) -> None:
    # safetensors writes private files and mkdtemp makes a private folder.
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if path.is_symlink():  # what it leads to is not ours
            continue
        path.chmod(0o755 if path.is_dir() else 0o644)


def _sweep_up(target: Path) -> None:
    # A process that was killed could not remove what it had begun; one writer at a time has `target`.
    for torn in target.parent.glob(f".{target.name}.????????"):
        if torn.is_dir():
            shutil.rmtree(torn)
        else:
            torn.unlink()


def _temporary_file(prefix: str, dir: Path) -> str:  # noqa: A002 - tempfile's own name
    handle, name = tempfile.mkstemp(prefix=prefix, dir=dir)
    os.close(handle)
    # mkstemp is private to the user; an artifact is as readable as any file the user makes.
    umask = os.umask(0)
    os.umask(umask)
    Path(name).chmod(0o666 & ~umask)
    return name


def whole_file(target: Path) -> contextlib.AbstractContextManager[Path]:
    """Yield a temporary path beside `target` that becomes `target` when the block succeeds.

    Raises:
        FolioError: the disk is full or the folder refuses; nothing is left behind.
    """
    return _staged(target, _temporary_file)


def whole_folder(target: Path) -> contextlib.AbstractContextManager[Path]:
    """Yield a temporary folder beside `target` that replaces `target` when the block succeeds.

    Raises:
        FolioError: the disk is full or the folder refuses; nothing is left behind.
    """
    return _staged(target, tempfile.mkdtemp)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with whole_file(target) as path:
        path.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all; NaN and infinity are refused."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(source: Path) -> Any:
    """Read a JSON file that an earlier stage wrote.

    Raises:
        FolioError: the file is missing or is no JSON.
    """
    try:
        return json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FolioError(f"{source} is missing; run `dvc repro`") from error
    except ValueError as error:
        raise FolioError(f"{source} is no JSON ({error}); delete it and run `dvc repro`") from error
