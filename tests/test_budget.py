import asyncio

from stages.endpoint.budget import Budget, Cost, Share

ONE, MOST = (1.0, 100.0), (3.0, 300.0)


def admitted(calls: int | None, tokens: int | None, pauses: list[int], cost: Cost = (1, 40)) -> list[int]:
    """The work that is admitted where the n-th takes pauses[n] turns of the loop."""

    async def run() -> list[int]:
        budget, began = Budget(calls, tokens), []

        async def work(number: int, share: Share) -> None:
            for _ in range(pauses[number]):
                await asyncio.sleep(0)
            share.pay(cost)
            await budget.settle(share)

        async with asyncio.TaskGroup() as group:
            for number in range(len(pauses)):
                share = await budget.reserve(ONE, MOST)
                if share is not None:
                    began.append(number)
                    group.create_task(work(number, share))
        return began

    return asyncio.run(run())


def test_without_a_limit_all_is_admitted() -> None:
    assert admitted(None, None, [0, 5, 0]) == [0, 1, 2]


def test_as_many_calls_as_the_budget_has_whatever_the_speed() -> None:
    assert admitted(4, None, [9, 0, 5, 1, 0, 0]) == [0, 1, 2, 3]
    assert admitted(4, None, [0, 9, 0, 9, 0, 0]) == [0, 1, 2, 3]


def test_tokens_are_counted_as_they_were_not_as_they_might_have_been() -> None:
    # Each costs 40 and might cost 100: after four, 160 of 250 are spent and 90 do not cover a fifth.
    assert admitted(None, 250, [3, 0, 7, 1, 0, 2]) == [0, 1, 2, 3]


def test_what_an_earlier_run_spent_counts() -> None:
    async def run() -> Share | None:
        budget = Budget(2, None)
        budget.spend((2, 10))
        return await budget.reserve(ONE, MOST)

    assert asyncio.run(run()) is None


def test_no_budget_no_work() -> None:
    assert admitted(0, None, [0, 0]) == []


def test_lost_requests_use_up_the_share_then_what_is_left_then_all() -> None:
    async def run() -> None:
        budget = Budget(5, None)
        first, second = await budget.reserve(ONE, (2, 200)), await budget.reserve(ONE, (2, 200))
        assert first
        assert second
        for _ in range(3):  # two of its own, one that nobody had reserved
            assert first.affords()
            first.lose()
        assert not first.affords()
        # What was set aside for other work stays there, but nothing new begins.
        assert second.affords()
        await budget.settle(first)
        await budget.settle(second)
        assert budget.covers((2, 0))
        assert not budget.covers((3, 0))
        assert await budget.reserve(ONE, ONE) is None

    asyncio.run(run())
