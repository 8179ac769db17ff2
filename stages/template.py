"""Filling the templates: in HTML every value is escaped, in Markdown whatever passes through `one_line`."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


def one_line(text: str) -> str:
    """Text from a document or model as plain Markdown: one line, nothing of it markup."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", re.sub(r"\s+", " ", text).strip())


def render(name: str, facts: dict[str, Any]) -> str:
    """Fill the template `name` of stages/templates; a fact that is missing is an error, not a gap."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["one_line"] = one_line
    return environment.get_template(name).render(facts)
