import asyncio

from stages.endpoint.budget import Budget, Cost

ONE, MOST = (1.0, 100.0), (3.0, 300.0)


def admitted(calls: int | None, tokens: int | None, pauses: list[int], cost: Cost = (1, 40)) -> list[int]:
    """The work that is admitted where the n-th takes pauses[n] turns of the loop."""

    async def run() -> list[int]:
        budget, began = Budget(calls, tokens), []

        async def work(number: int, share: Cost) -> None:
            for _ in range(pauses[number]):
                await asyncio.sleep(0)
            await budget.settle(share, cost)

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
    async def run() -> Cost | None:
        budget = Budget(2, None)
        budget.spend((2, 10))
        return await budget.reserve(ONE, MOST)

    assert asyncio.run(run()) is None


def test_no_budget_no_work() -> None:
    assert admitted(0, None, [0, 0]) == []
