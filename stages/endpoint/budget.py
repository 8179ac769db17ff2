"""What calls may cost together, decided as if each came after the one before it."""

import asyncio
import math
from collections.abc import Sequence

Cost = tuple[float, ...]


class Budget:
    """Several limits at once (calls, tokens); None: no limit.

    Work is admitted in the order of `reserve`. Near the end of the budget it waits for what runs
    already, so that which work is admitted does not hang on how fast the replies come.
    """

    def __init__(self, *limits: int | None) -> None:
        self._left: Cost = tuple(math.inf if limit is None else limit for limit in limits)
        self._reserved: list[Cost] = []
        self._settled = asyncio.Condition()
        self._over = False

    def spend(self, cost: Sequence[float]) -> None:
        """Count what was paid for without a reservation, as in an earlier run."""
        self._left = tuple(left - spent for left, spent in zip(self._left, cost, strict=True))

    async def reserve(self, least: Cost, most: Cost) -> Cost | None:
        """Set aside what work may cost: `most`, or what is left if that covers `least`.

        None: the budget is used up; after that it is for all.
        """
        async with self._settled:
            await self._settled.wait_for(lambda: covers(self._free(), most) or not self._reserved)
            free = self._free()
            self._over = self._over or not covers(free, least)
            if self._over:
                return None
            share = tuple(map(min, most, free))
            self._reserved.append(share)
            return share

    async def settle(self, share: Cost, cost: Sequence[float]) -> None:
        """Give a reservation back and count what the work did cost."""
        async with self._settled:
            self._reserved.remove(share)
            self.spend(cost)
            self._settled.notify_all()

    def _free(self) -> Cost:
        return tuple(left - sum(held) for left, *held in zip(self._left, *self._reserved, strict=True))


def covers(share: Sequence[float], cost: Sequence[float]) -> bool:
    """Whether a share is enough in every respect."""
    return all(have >= need for have, need in zip(share, cost, strict=True))
