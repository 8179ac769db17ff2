"""Digests that name a record, and what must stay on one side of the split with it."""

import hashlib
import json
from typing import Any


def fingerprint(value: Any) -> str:
    """16 hex digits that any JSON value determines."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def alike(text: str) -> str:
    """The fingerprint of a text, whatever its case and its white space."""
    return fingerprint(" ".join(text.casefold().split()))
