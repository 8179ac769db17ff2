"""Which side of the split a passage is on: decided by its own text alone."""

import hashlib
from collections.abc import Iterable
from typing import Literal

from stages.jsonl import Record

Side = Literal["train", "validation", "test"]


def position(text: str, seed: int, purpose: str) -> float:
    """A number in [0, 1) that `text`, `seed` and `purpose` determine, uniform over texts."""
    seal = hashlib.sha256(f"{purpose}\0{seed}\0{text}".encode()).digest()
    return int.from_bytes(seal[:8], "big") / 2**64


def key(record: Record) -> str:
    """What decides a record's side: its passage, or else the digest of its question or conversation."""
    text: str = record["chunk"] if record["passage"] is None else record["passage"]
    return text


def is_open(record: Record, seed: int, share: float) -> bool:
    """Whether a record is one of the share that carries its passage in training."""
    return record["passage"] is not None and position(record["id"], seed, "context") < share


def side(passage: str, seed: int, test_share: float, validation_share: float) -> Side:
    """The side of a passage; another passage's coming or going never moves it."""
    place = position(passage, seed, "split")
    if place < test_share:
        return "test"
    return "validation" if place < test_share + validation_share else "train"


def preferences(keyed: Iterable[tuple[str, Record]], seed: int, share: float) -> dict[str, list[Record]]:
    """Records, each behind its key, to train on and to validate by: a share of the keys."""
    sides: dict[str, list[Record]] = {"train": [], "validation": []}
    for key, record in keyed:
        is_apart = position(key, seed, "preferences") < share
        sides["validation" if is_apart else "train"].append(record)
    return sides


def fold_of(passage: str, seed: int, folds: int) -> int:
    """The one of `folds` equal parts, from 0, in which a passage's position lies: the fold that tests it."""
    # A hash of ones alone rounds to a position of 1.
    return min(int(position(passage, seed, "split") * folds), folds - 1)


def fold_side(passage: str, seed: int, folds: int, fold: int, validation_share: float) -> Side:
    """The side of a passage in one fold of a cross-validation; another passage never moves it.

    Each fold draws its validation side anew, independently of the folds, from the passages that it
    does not test; `validation_share` is of all passages, and less than 1 - 1 / `folds`.
    """
    if fold_of(passage, seed, folds) == fold:
        return "test"
    place = position(passage, seed, f"validation {fold} of {folds}")
    return "validation" if place < validation_share / (1 - 1 / folds) else "train"
