"""What calls may cost together, decided as if each came after the one before it."""

import asyncio
import math
from collections.abc import Sequence

Cost = tuple[float, ...]


class Share:
    """What is set aside for one piece of work; it grows as long as the budget has something left."""

    def __init__(self, budget: "Budget", held: Cost, one: Cost) -> None:
        self.held = held
        self.spent: Cost = (0.0,) * len(held)
        self._budget, self._one = budget, one

    def affords(self) -> bool:
        """Whether one more request is paid for; where it is not, the budget is used up for all."""
        lacking = zip(self.spent, self._one, self.held, strict=True)
        return self._budget.grow(self, tuple(max(0.0, spent + one - held) for spent, one, held in lacking))

    def pay(self, cost: Sequence[float]) -> None:
        """Count what a request did cost."""
        self.spent = tuple(before + now for before, now in zip(self.spent, cost, strict=True))

    def lose(self) -> None:
        """Count a request that may have been served though no reply came, as dear as it can have been."""
        self.pay(self._one)


class Budget:
    """Several limits at once (calls, tokens); None: no limit.

    Work is admitted in the order of `reserve`. Near the end of the budget it waits for what runs
    already, so that which work is admitted does not hang on how fast the replies come.
    """

    def __init__(self, *limits: int | None) -> None:
        self._left: Cost = tuple(math.inf if limit is None else limit for limit in limits)
        self._shares: list[Share] = []
        self._settled = asyncio.Condition()
        self._over = False

    def spend(self, cost: Sequence[float]) -> None:
        """Count what was paid for without a reservation, as in an earlier run."""
        self._left = tuple(left - spent for left, spent in zip(self._left, cost, strict=True))

    def covers(self, cost: Sequence[float]) -> bool:
        """Whether so much is left beside what is set aside."""
        return all(free >= need for free, need in zip(self._free(), cost, strict=True))

    async def reserve(self, one: Cost, most: Cost) -> Share | None:
        """Set aside what work may cost: `most`, or what is left if that covers `one` request.

        None: the budget is used up; after that it is for all.
        """
        async with self._settled:
            await self._settled.wait_for(lambda: self.covers(most) or not self._shares)
            self._over = self._over or not self.covers(one)
            if self._over:
                return None
            share = Share(self, tuple(map(min, most, self._free())), one)
            self._shares.append(share)
            return share

    def grow(self, share: Share, more: Cost) -> bool:
        """Set aside `more` for a share; where so much is not left, the budget is used up for all."""
        if not any(more):
            return True
        self._over = self._over or not self.covers(more)
        if not self._over:
            share.held = tuple(map(sum, zip(share.held, more, strict=True)))
        return not self._over

    async def settle(self, share: Share) -> None:
        """Give a reservation back and count what was spent of it."""
        async with self._settled:
            self._shares.remove(share)
            self.spend(share.spent)
            self._settled.notify_all()

    def _free(self) -> Cost:
        held = (share.held for share in self._shares)
        return tuple(left - sum(parts) for left, *parts in zip(self._left, *held, strict=True))
