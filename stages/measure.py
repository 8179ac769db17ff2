"""How long a text is: in words, or in the tokens of a named tokenizer."""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from stages.errors import FolioError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Measure = Callable[[str], int]

# Kana and Han: written without blanks, so that a page of them would count as a few dozen words.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")
_HUB_ID = re.compile(r"(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")


def words(text: str) -> list[str]:
    """The runs between blanks; each Japanese or Chinese character is a word of its own."""
    return text.split() if text.isascii() else _WORD.findall(text)


def in_words(text: str) -> int:
    """The number of words."""
    return len(words(text))


@lru_cache(maxsize=4)
def in_tokens(tokenizer: str) -> Measure:
    """Return what counts the tokens of a text, without the special ones around it; loaded once a process.

    Args:
        tokenizer: a tokenizer.json, a folder that holds one, or a hub id: owner/name[@revision].

    Raises:
        FolioError: there is no such tokenizer, or the file holds none.
    """
    file = _file(tokenizer)
    loaded = _load(file)
    # A file that was saved for training may cut or fill every text to one length.
    loaded.no_truncation()
    loaded.no_padding()
    return lambda text: len(loaded.encode(text, add_special_tokens=False))


def _file(tokenizer: str) -> Path:
    path = Path(tokenizer)
    if path.is_dir():
        path /= "tokenizer.json"
    if path.is_file():
        return path
    hub = _HUB_ID.fullmatch(tokenizer)
    if hub is None or path.suffix == ".json":
        raise FolioError(f"splitter.tokenizer={tokenizer} is no file; name a tokenizer.json or a hub id")
    return _download(tokenizer, hub["id"], hub["revision"])


def _download(tokenizer: str, name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(hf_hub_download(name, "tokenizer.json", revision=revision))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise FolioError(
            f"splitter.tokenizer={tokenizer} is no file here and the hub gives no tokenizer.json of that "
            "name; check the name and the network, or set null to count words"
        ) from error


def _load(file: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise FolioError(f"{file} (splitter.tokenizer) holds no tokenizer: {error}") from error
