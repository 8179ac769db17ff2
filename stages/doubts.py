"""What is doubtful about a document and its pages, and which pages a person should look at."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from heapq import nsmallest
from itertools import zip_longest
from typing import Any

from stages.agreement import Agreement
from stages.page_numbers import span_of

LOST = {
    "no_text": "no text layer",
    "garbage": "no readable characters",
    "unreadable": "cannot be read",
}

Figures = Mapping[str, Any]  # of one document, as they stand in metrics/chunk.json
Place = tuple[str, int]  # a document and the number of a page


def choose(documents: Mapping[str, Figures], most: int) -> list[Place]:
    """Up to `most` pages, in document and page order.

    First the doubtful ones, worst first; then, half of all at least, pages drawn by hash. Both are
    taken from the documents in turn.
    """
    doubtful = _in_turn([(name, page) for page in by_page(documents[name])] for name in documents)
    drawn = _in_turn(_drawn(documents, most))[:most]
    return sorted([*doubtful[: max(most - len(drawn), most - most // 2)], *drawn][:most])


def by_page(figures: Figures) -> dict[int, list[str]]:
    """What is doubtful about which page, the pages on which the readers differ first, worst first."""
    found = {
        page: [f"the readers differ: recall {recall:.2f}, surplus {surplus:.2f}"]
        for page, recall, surplus in _apart(figures)
    }
    for reason, words in LOST.items():
        for page in figures.get(reason, ()):
            found.setdefault(page, []).append(words)
    return found


def flags(figures: Figures, kept: int) -> Iterator[str]:
    """What is doubtful about a document of which `kept` chunks are kept."""
    if not kept:
        yield "Every chunk was dropped"
    if apart := _apart(figures):
        pages = ", ".join(f"{page} (recall {r:.2f}, surplus {s:.2f})" for page, r, s in apart)
        yield f"The two readers differ, most of all on page{'s' if len(apart) > 1 else ''} {pages}"
    for reason, words in LOST.items():
        if lost := figures.get(reason):
            yield f"{span_of(lost).capitalize()}: {words}"


def least(figures: Figures) -> float:
    """The lower of recall and of what is no surplus: 1 where the readers agree, or where one read alone."""
    return Agreement(figures.get("recall", 1.0), figures.get("surplus", 0.0)).least


def _apart(figures: Figures) -> list[tuple[int, float, float]]:
    """Page, recall and surplus where the readers differ as much as on the whole document, or more."""
    whole = least(figures) + 1e-9
    return [(page, r, s) for page, r, s in figures.get("apart", ()) if Agreement(r, s).least <= whole]


def _in_turn(queues: Iterable[Sequence[Place]]) -> list[Place]:
    return [place for turn in zip_longest(*queues) for place in turn if place]


def _drawn(documents: Mapping[str, Figures], most: int) -> list[list[Place]]:
    """Pages without doubts of up to `most` documents, both in the order of their hashes."""
    doubtful = {name: by_page(figures) for name, figures in documents.items()}
    sound = [name for name in documents if documents[name]["pages"] > len(doubtful[name])]
    queues = []
    for name in nsmallest(most, sound, key=lambda name: _hash(name, 0)):
        pages = (number for number in range(1, documents[name]["pages"] + 1) if number not in doubtful[name])
        queues.append([(name, number) for number in nsmallest(most, pages, key=partial(_hash, name))])
    return queues


def _hash(name: str, number: int) -> bytes:
    return hashlib.sha256(f"{name}\0{number}".encode()).digest()
