"""Page numbers in words."""

from collections.abc import Iterable

MOST_RUNS = 20  # of adjoining pages that are named


def span_of(pages: Iterable[int]) -> str:
    """`page 3`, `pages 3, 7 to 9`, or, of very many, the first ones and how many there are more."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    named = ", ".join(
        str(first) if first == last else f"{first} to {last}" for first, last in runs[:MOST_RUNS]
    )
    left = sum(last - first + 1 for first, last in runs[MOST_RUNS:])
    several = len(runs) > 1 or any(first < last for first, last in runs)
    return f"page{'s' if several else ''} {named}{f' and {left} more' if left else ''}"
