"""Which side of the split a passage is on: decided by its own text alone."""

import hashlib
from typing import Literal

Side = Literal["train", "validation", "test"]


def position(text: str, seed: int, purpose: str) -> float:
    """A number in [0, 1) that `text`, `seed` and `purpose` determine, uniform over texts."""
    seal = hashlib.sha256(f"{purpose}\0{seed}\0{text}".encode()).digest()
    return int.from_bytes(seal[:8], "big") / 2**64


def side(passage: str, seed: int, test_share: float, validation_share: float) -> Side:
    """The side of a passage; another passage's coming or going never moves it."""
    place = position(passage, seed, "split")
    if place < test_share:
        return "test"
    return "validation" if place < test_share + validation_share else "train"
