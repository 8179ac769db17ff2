"""Which rows are learnt from at each step: whole groups of rows that share a prefix, shuffled."""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise

from stages.packing import Ids, Packing, Stretch, shared, split

# A prefix that is this share of the shorter row, or more, is worth computing once.
WORTHWHILE = 0.5
# Groups among which one is looked for that fits into what room a step has left.
AHEAD = 32
# Rows are sorted by length within so many steps where nothing is packed; between them chance decides.
POOL = 50


def groups(rows: Sequence[Ids]) -> list[list[int]]:
    """Rows by the long prefix that they share, as the questions on one passage do.

    What all rows begin with, such as a system prompt, tells none from another and does not count.
    """
    order = Stretch(rows).order
    common = shared(rows[order[0]], rows[order[-1]]) if order else 0
    found = [order[:1]]
    for before, i in pairwise(order):
        alike = shared(rows[before], rows[i]) - common
        if alike >= WORTHWHILE * (min(len(rows[before]), len(rows[i])) - common) and alike > 0:
            found[-1].append(i)
        else:
            found.append([i])
    return found


def batched(group: list[int], most: int) -> list[list[int]]:
    """Runs of at most so many."""
    return [group[start : start + most] for start in range(0, len(group), most)]


class Steps:
    """The batch sampler of one device: for every step its micro-batches, as lists of row indices.

    A step's rows are the same whatever number of devices and micro-batches it is divided among, and
    so is what is learnt. Epoch and seed alone decide their order.
    """

    def __init__(self, rows: Sequence[Ids], batch: int, tokens: int, packing: Packing, seed: int) -> None:
        """`batch` rows a step, or where `tokens` is above 0 as many as have so many tokens together."""
        self._rows, self._batch, self._tokens = rows, batch, tokens
        self._share, self._seed, self._sort = packing == "prefix", seed, packing == "none"
        self._groups = groups(rows) if self._share else [[i] for i in range(len(rows))]
        # With a limit of tokens the number of steps must not change from epoch to epoch.
        self._fixed = self._compose(0) if tokens else []
        self.epoch, self.parts, self.accumulation, self.device = 0, 1, 1, 0

    def divide(self, accumulation: int, devices: int, device: int) -> None:
        """Divide each step among devices and, on each, into `accumulation` micro-batches."""
        self.parts, self.accumulation, self.device = accumulation * devices, accumulation, device

    def set_epoch(self, epoch: int) -> None:
        """Another epoch has another order."""
        self.epoch = epoch

    def count(self) -> int:
        """Steps in an epoch."""
        return len(self._fixed) or -(-len(self._rows) // self._batch)

    def __len__(self) -> int:
        """Micro-batches of this device in an epoch."""
        return self.count() * self.accumulation

    def steps(self) -> list[list[int]]:
        """The rows of each step of this epoch."""
        if not self._fixed:
            return self._compose(self.epoch)
        order = list(self._fixed)
        random.Random(f"order {self._seed} {self.epoch}").shuffle(order)  # noqa: S311
        return order

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps():
            divided = split([self._rows[i] for i in step], self.parts, self._share)
            own = divided[self.device * self.accumulation : (self.device + 1) * self.accumulation]
            yield from ([step[i] for i in part] for part in own)

    def _compose(self, epoch: int) -> list[list[int]]:
        """Fill step after step with whole groups; the last one that does not fit is divided."""
        chance = random.Random(f"rows {self._seed} {epoch}")  # noqa: S311
        waiting = [list(group) for group in self._groups]
        chance.shuffle(waiting)
        for group in waiting:
            chance.shuffle(group)
        if self._sort:
            waiting = self._by_length(waiting)
        made = self._by_tokens(waiting) if self._tokens else self._by_rows(waiting)
        if self._sort:
            chance.shuffle(made)
        return made

    def _by_length(self, waiting: list[list[int]]) -> list[list[int]]:
        """Sort pools of rows by length, so that little is padded."""
        pool = POOL * self._batch
        pools = [waiting[start : start + pool] for start in range(0, len(waiting), pool)]
        return [g for part in pools for g in sorted(part, key=lambda g: -len(self._rows[g[0]]))]

    def _by_rows(self, waiting: list[list[int]]) -> list[list[int]]:
        """Steps of exactly `batch` rows, of groups that are divided as seldom as chance allows."""
        pieces = [part for group in waiting for part in batched(group, self._batch)]
        made: list[list[int]] = [[]]
        while pieces:
            if len(made[-1]) == self._batch:
                made.append([])
            room = self._batch - len(made[-1])
            near = range(min(AHEAD, len(pieces)))
            # The largest of the next few that fits, else the largest of them, divided.
            at = max(near, key=lambda k: (len(pieces[k]) <= room, len(pieces[k]), -k))
            piece = pieces.pop(at)
            made[-1] += piece[:room]
            if piece[room:]:
                pieces.insert(0, piece[room:])
        return made

    def _by_tokens(self, waiting: list[list[int]]) -> list[list[int]]:
        made: list[list[int]] = []
        used = 0
        for i in (i for group in waiting for i in group):
            more = length = len(self._rows[i])
            if made and self._share:
                more -= shared(self._rows[made[-1][-1]], self._rows[i])
            if not made or used + more > self._tokens:
                made.append([])
                used, more = 0, length
            made[-1].append(i)
            used += more
        return made
