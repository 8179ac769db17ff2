"""Rows that share a prefix, laid out so that each shared token is computed once, exactly.

The rows of a micro-batch form a prefix tree: a token sees its ancestors and itself, and its
position is its depth, so that its loss and gradients are those of the row alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    from stages.tokens import Row
    from stages.tree_attention import Segment

Packing = Literal["prefix", "rows", "none"]
Ids = npt.NDArray[np.int64]
# Trees, and what a part of one sees, are padded to a multiple: for each shape that is new to it the CPU's
# library of products compiles code and keeps it (400 MiB over 48 micro-batches, each of another width).
MULTIPLE = 32


def shared(one: Ids, other: Ids) -> int:
    """Number of tokens that two rows have in common from their start."""
    length = min(len(one), len(other))
    differs = one[:length] != other[:length]
    return int(differs.argmax()) if differs.any() else length


def inputs(rows: Iterable["Row"]) -> list[Ids]:
    """What the model reads of each row: all but the last token, from which nothing is predicted."""
    return [np.array([*row.prompt, *row.completion[:-1]]) for row in rows]


class Stretch:
    """Rows in the order of their tokens, in which neighbours share the longest prefixes."""

    def __init__(self, rows: Sequence[Ids], share: bool = True) -> None:
        self.order = sorted(range(len(rows)), key=lambda i: rows[i].tolist())
        lengths = [len(rows[i]) for i in self.order]
        common = [shared(rows[i], rows[j]) for i, j in zip(self.order, self.order[1:], strict=False)]
        # What a row adds to the one before it in the same tree.
        self._first = lengths
        self._next = [length - (k if share else 0) for length, k in zip(lengths, [0, *common], strict=False)]

    def width(self) -> int:
        """Tokens of one tree over all rows."""
        return self._first[0] + sum(self._next[1:]) if self._first else 0

    def cut(self, capacity: int) -> list[int]:
        """The fewest runs of neighbours whose trees hold at most `capacity` tokens: where each begins.

        A row that is longer has a run of its own.
        """
        starts, used = [], capacity + 1
        for at, (first, more) in enumerate(zip(self._first, self._next, strict=True)):
            if used + more > capacity:
                starts.append(at)
                used = first
            else:
                used += more
        return starts

    def capacity(self, runs: int) -> int:
        """The smallest capacity at which `cut` makes at most so many runs."""
        low, high = max(self._first, default=0), self.width()
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if len(self.cut(middle)) <= runs else (middle + 1, high)
        return low

    def runs(self, starts: Sequence[int]) -> list[list[int]]:
        """The rows of each run, by their index in what was given."""
        ends = [*starts[1:], len(self.order)]
        return [self.order[start:end] for start, end in zip(starts, ends, strict=True)]


def split(rows: Sequence[Ids], parts: int, share: bool = True) -> list[list[int]]:
    """Divide rows into `parts` micro-batches of about equal work; some are empty where rows are few."""
    stretch = Stretch(rows, share)
    runs = stretch.runs(stretch.cut(stretch.capacity(parts)))
    return runs + [[] for _ in range(parts - len(runs))]


def trees(rows: Sequence[Ids], pair_cost: float, share: bool = True) -> list[list[int]]:
    """Divide a micro-batch into trees of about equal width, so that computing them costs the least.

    They are padded to the widest. A token costs 1 in the linear layers, and `pair_cost` for every
    token of its tree, since attention is computed in full and then masked.
    """
    stretch = Stretch(rows, share)
    best, least = [0], math.inf
    for runs in range(1, len(rows) + 1):
        capacity = stretch.capacity(runs)
        starts = stretch.cut(capacity)
        cost = len(starts) * capacity * (1 + pair_cost * capacity)
        if cost < least:
            best, least = starts, cost
    return stretch.runs(best)


class Part(NamedTuple):
    """Tokens of a line, `start` to `stop`, that see much of the same, and the places of all that they see."""

    start: int
    stop: int
    seen: Ids
    asks: bool  # most of what they see stands before them


@dataclass(frozen=True)
class Layout:
    """Rows as a model reads them; `paths` says where each token of a row stands in the flattened ids."""

    ids: Ids  # [lines, width]
    positions: Ids  # [lines, width]
    mask: npt.NDArray[np.bool_]  # [lines, 1, width, width], or of padded rows [lines, width]
    paths: list[Ids]
    parts: list[list[Part]]  # of each line, in which attention may go through it

    def masked(self) -> "torch.Tensor":
        """The mask as a tensor that tells its tree to an attention which asks for it."""
        import torch

        from stages.tree_attention import tell

        mask = torch.from_numpy(self.mask)
        if self.parts:
            lines = enumerate(self.parts)
            tell(mask, [[_segment(self.mask[line, 0], part) for part in own] for line, own in lines])
        return mask


def lay_out(rows: Sequence[Ids], pad: int, pair_cost: float, packing: Packing) -> Layout:
    """Lay rows out: `prefix` as trees, `rows` side by side, `none` each in a line, padded on the left."""
    if packing == "none":
        return _padded(rows, pad)
    share = packing == "prefix"
    return _laid(rows, trees(rows, pair_cost, share) if rows else [[]], share, pad)


def pack(rows: Sequence["Row"], pad: int, pair_cost: float, packing: Packing) -> "dict[str, torch.Tensor]":
    """Lay rows out as a micro-batch.

    Returns:
        input_ids, position_ids [trees, width]; attention_mask, true where a query (row) may see a
        key (column), [trees, 1, width, width], or for `none` [rows, width], padded on the left;
        index [labels], the place in the flattened input_ids that predicts each label; labels
        [labels], row after row; tokens [], of all rows as if each stood alone.
    """
    import torch

    layout = lay_out(inputs(rows), pad, pair_cost, packing)
    labels = [np.empty(0, dtype=np.int64), *(np.array(row.completion) for row in rows)]
    return {
        "input_ids": torch.from_numpy(layout.ids),
        "position_ids": torch.from_numpy(layout.positions),
        "attention_mask": layout.masked(),
        "index": torch.from_numpy(places(layout, rows)),
        "labels": torch.from_numpy(np.concatenate(labels)),
        "tokens": torch.tensor(sum(len(row.prompt) + len(row.completion) for row in rows)),
    }


def places(layout: Layout, rows: Sequence["Row"]) -> Ids:
    """Where in the flattened ids each label of the rows is predicted, row after row."""
    found = [path[len(row.prompt) - 1 :] for path, row in zip(layout.paths, rows, strict=False)]
    return np.concatenate([np.empty(0, dtype=np.int64), *found])


def _padded(ids: Sequence[Ids], pad: int) -> Layout:
    """One row in each line, padded on the left."""
    ids = ids or [np.zeros(1, dtype=np.int64)]
    width = max(map(len, ids))
    tokens = np.full((len(ids), width), pad)
    mask = np.zeros((len(ids), width), dtype=np.bool_)
    paths = []
    for line, row in enumerate(ids):
        tokens[line, width - len(row) :] = row
        mask[line, width - len(row) :] = True
        paths.append(line * width + np.arange(width - len(row), width))
    return Layout(tokens, (mask.cumsum(1) - 1).clip(min=0), mask, paths, [])


def _laid(ids: Sequence[Ids], divided: list[list[int]], share: bool, pad: int) -> Layout:
    widest = max(_width([ids[i] for i in tree], share) for tree in divided)
    width = widest + -widest % MULTIPLE or 1
    tokens = np.full((len(divided), width), pad)
    positions = np.zeros_like(tokens)
    mask = np.zeros((len(divided), 1, width, width), dtype=np.bool_)
    # What pads sees itself: attention over nothing would give no number.
    mask[:, 0, np.arange(width), np.arange(width)] = True
    paths = [np.empty(0, dtype=np.int64)] * len(ids)
    parts: list[list[Part]] = [[] for _ in divided]
    for line, tree in enumerate(divided):
        path, before, used = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 0
        for i in tree:
            known = shared(before, ids[i]) if share else 0
            new = np.arange(used, used + len(ids[i]) - known)
            path, before, used = np.concatenate([path[:known], new]), ids[i], used + len(new)
            tokens[line, new] = ids[i][known:]
            positions[line, new] = np.arange(known, len(path))
            mask[line, 0, new[:, None], path] = np.tri(len(new), len(path), known, dtype=np.bool_)
            paths[i] = line * width + path
            if len(new):
                _add(parts[line], int(new[0]), used, path)
    return Layout(tokens, positions, mask, paths, parts)


def _add(parts: list[Part], start: int, stop: int, path: Ids) -> None:
    """Add a row's own tokens: the questions on one passage are one part, behind that of its first row."""
    asks = 2 * (stop - start) <= len(path)
    if asks and parts and parts[-1].asks and parts[-1].seen[0] == path[0]:
        last = parts.pop()
        start, path = last.start, np.union1d(last.seen, path)
    parts.append(Part(start, stop, path, asks))


def _width(rows: Sequence[Ids], share: bool) -> int:
    return Stretch(rows, share).width()


def _segment(mask: npt.NDArray[np.bool_], part: Part) -> "Segment":
    import torch

    from stages.tree_attention import Segment

    visible = mask[part.start : part.stop][:, part.seen]
    more = -len(part.seen) % MULTIPLE
    visible = np.pad(visible, ((0, -len(visible) % MULTIPLE), (0, more)))
    seen = np.pad(part.seen, (0, more))
    return Segment(part.start, part.stop, torch.from_numpy(seen), torch.from_numpy(visible))
