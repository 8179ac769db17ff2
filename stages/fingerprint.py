"""Digests that name a record, and what must stay on one side of the split with it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def fingerprint(value: Any) -> str:
    """16 hex digits that any JSON value determines."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def opening(record: Mapping[str, Any]) -> str:
    """The first thing that a user asks in a record: its question, or that of its history."""
    turns = record.get("history") or ()
    asked = [str(turn["content"]) for turn in turns if turn["role"] == "user"]
    return [*asked, str(record["question"])][0]


def alike(text: str) -> str:
    """The fingerprint of a text, whatever its case and its white space."""
    return fingerprint(" ".join(text.casefold().split()))
