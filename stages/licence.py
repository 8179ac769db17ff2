"""The licence that a base model names: in its model card, or in its GGUF file's metadata."""

import re
from pathlib import Path
from typing import Any

from stages.errors import FolioError
from stages.printable import printable

LONGEST_CARD = 1 << 20  # bytes of a README.md that are read
KEYS = ("license", "license_name", "license_link")
# The hub's names of licences: apache-2.0, llama3.2, cc-by-nc-4.0, other.
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]{0,59}")


def of(source: Any) -> dict[str, str]:
    """The licence of an option of the group `model`: `license`, and where they are given name and link.

    Empty where the base names none, or none that has the form of an identifier.
    """
    found = (
        of_gguf(source.weights()) if hasattr(source, "weights") else of_card(source.folder() / "README.md")
    )
    told = {key: printable(found[key], 200) for key in KEYS if isinstance(found.get(key), str)}
    return told if IDENTIFIER.fullmatch(told.get("license", "")) else {}


def of_card(card: Path) -> dict[str, Any]:
    """What the front matter of a model card says, as the hub reads it; nothing where there is none."""
    import yaml

    try:
        with card.open("rb") as file:
            text = file.read(LONGEST_CARD).decode("utf-8", "replace")
    except OSError:
        return {}
    matter = re.match(r"\s*---\r?\n(.*?)\r?\n---\s*(\n|$)", text, re.DOTALL)
    try:
        found = yaml.safe_load(matter[1]) if matter else {}
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def of_gguf(path: Path) -> dict[str, Any]:
    """What the metadata of a GGUF file says.

    Raises:
        FolioError: the file cannot be read.
    """
    from gguf import GGUFReader

    try:
        fields = GGUFReader(path).fields
        names = {key: f"general.{key.replace('_', '.')}" for key in KEYS}
        return {key: fields[name].contents() for key, name in names.items() if name in fields}
    except Exception as error:  # a damaged file fails in as many ways as it has fields
        raise FolioError(f"{path} cannot be read as a GGUF model: {error}") from error
