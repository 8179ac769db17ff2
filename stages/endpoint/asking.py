"""Many calls to one endpoint, side by side and within a budget; none that the ledger knows."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from stages import cache
from stages.endpoint.budget import Budget, Cost, Share
from stages.endpoint.client import Endpoint, Unanswered, token_count
from stages.endpoint.settings import Compatible
from stages.errors import FolioError
from stages.jsonl import Record
from stages.ledger import Ledger
from stages.words import TOKEN_BYTES

if TYPE_CHECKING:
    from tqdm import tqdm

# Reasons without a reply in the ledger that another run may not meet.
PASSING = {
    "rate_limited", "timeout", "unreachable", "server_error", "malformed_response", "forbidden", "budget",
}  # fmt: skip

Item = TypeVar("Item")
Content = TypeVar("Content", bound=BaseModel)
# What was replied, or why nothing that can be read.
Outcome = tuple[Content | None, str | None]


@dataclass(frozen=True)
class Form(Generic[Content]):
    """What a reply must be: JSON that `schema` describes to the endpoint and `content` reads.

    `name` and `version` are a part of the ledger's keys: another version, and older replies no
    longer count. `unit` is what the progress bar counts.
    """

    name: str
    version: int
    content: type[Content]
    schema: dict[str, Any]
    unit: str

    @cached_property
    def formats(self) -> dict[str, dict[str, Any]]:
        """The API's response_format for each way to ask for structure."""
        described = {"name": self.name, "strict": True, "schema": self.schema}
        return {
            "json_schema": {"type": "json_schema", "json_schema": described},
            "json_object": {"type": "json_object"},
        }


@dataclass(frozen=True)
class Call(Generic[Item]):
    """What the system and the user say about an item; `keys` are of its first and each repeated call."""

    item: Item
    system: str
    user: str
    keys: list[str]

    @property
    def prompt_bytes(self) -> int:
        """The size of the prompt in UTF-8."""
        return len(self.system.encode()) + len(self.user.encode())


class Asking(Generic[Item, Content]):
    """The calls of one option: `texts` gives what the system and the user say about an item."""

    def __init__(
        self,
        option: Compatible,
        form: Form[Content],
        texts: Callable[[Item], tuple[str, str]],
        ledger: Ledger,
    ) -> None:
        self._option, self._form, self._texts, self._ledger = option, form, texts, ledger
        self._budget = Budget(option.budget_calls, option.budget_tokens)
        self._turn = asyncio.Lock()
        self._places: list[str] = []  # each item's first key
        self._outcomes: dict[str, Outcome[Content]] = {}  # by first key

    def ask(self, items: Sequence[Item]) -> Iterator[Outcome[Content]]:
        """Ask what the ledger lacks, then yield for each item what was replied, or why nothing was.

        Raises:
            FolioError: the endpoint refuses the key or the model, or is not there.
        """
        asyncio.run(self._run(items))
        self._tell()
        yield from (self._outcomes[key] for key in self._places)

    def _tell(self) -> None:
        """Say how to ask again what may be answered next time: DVC sees no reason to run the stage."""
        lost = Counter(self._outcomes[key][1] for key in self._places)
        told = {reason: count for reason, count in sorted(lost.items(), key=str) if reason in PASSING}
        if told:
            larger = "; what a budget kept out needs a larger one" if "budget" in told else ""
            stage = "generate" if self._option.place == "generator" else "verify"
            print(
                f"{self._option.place}: no reply for {sum(told.values())} of {len(self._places)} "
                f"({', '.join(f'{reason} {count}' for reason, count in told.items())}): "
                f"`dvc repro --force --single-item {stage}` asks for these again{larger}",
                file=sys.stderr,
            )

    def plan(self, items: Iterable[Item], reply_tokens: Callable[[Item], int]) -> dict[str, Any]:
        """What `ask` would ask for: `calls` not in the ledger, estimated tokens, and their `cost`.

        The cost is in the currency of the prices, None where one is unknown. What is beyond a budget
        is left out; calls that repeat a reply which is no valid JSON are not foreseen.
        """
        option = self._option
        budget, todo = self._budget_left(items)
        calls = prompt = reply = 0
        for call in todo:
            if not budget.covers(self._dearest(call)):
                break
            expected = call.prompt_bytes // TOKEN_BYTES, min(option.maximum_tokens, reply_tokens(call.item))
            budget.spend((1, sum(expected)))
            calls, prompt, reply = calls + 1, prompt + expected[0], reply + expected[1]
        prices = option.input_price, option.output_price
        cost = None if None in prices else (prompt * (prices[0] or 0) + reply * (prices[1] or 0)) / 1e6
        return {"calls": calls, "prompt_tokens": prompt, "reply_tokens": reply, "cost": cost}

    def _budget_left(self, items: Iterable[Item]) -> tuple[Budget, Iterator[Call[Item]]]:
        """The budget after the replies that the ledger has to any of the items, and the calls it lacks."""
        budget = Budget(self._option.budget_calls, self._option.budget_tokens)
        seen: set[str] = set()
        missing: list[Item] = []
        for call in map(self.call, items):
            if call.keys[0] in seen:
                continue
            seen.add(call.keys[0])
            replies, outcome = self._known(call)
            for reply in replies:
                budget.spend(_cost(call, reply))
            if not outcome:
                missing.append(call.item)
        return budget, map(self.call, missing)

    def call(self, item: Item) -> Call[Item]:
        """What is asked about an item, and under which keys the ledger holds the replies."""
        option, form = self._option, self._form
        system, user = self._texts(item)
        sampling = option.structured, option.temperature, option.maximum_tokens
        content = form.name, form.version, option.base_url, option.model, sampling, system, user
        # At temperature 0 another seed brings the same reply.
        repeats = option.repeats if option.temperature else 1
        seal, seeds = cache.digest(*content), range(option.seed, option.seed + repeats)
        return Call(item, system, user, [cache.digest(seal, seed) for seed in seeds])

    def _known(self, call: Call[Item]) -> tuple[list[Record], Outcome[Content] | None]:
        """The stored replies up to the last that counts, and what they come to; None: ask on."""
        replies: list[Record] = []
        outcome: Outcome[Content] | None = None
        for key in call.keys:
            found = self._ledger.get([key])
            if key not in found:
                return replies, None
            replies.append(found[key])
            outcome = read(found[key], self._form.content)
            if _is_last(outcome):
                break
        return replies, outcome

    async def _run(self, items: Sequence[Item]) -> None:
        """Ask with as many workers as calls may be in flight.

        Each prepares its next call itself, so that this is done while others are under way.
        """
        from tqdm import tqdm

        option, unit = self._option, self._form.unit
        if option.budget_calls is not None or option.budget_tokens is not None:
            # All that is known is counted before anything new is admitted, wherever it stands.
            self._budget, _ = self._budget_left(items)
        with tqdm(total=len(items), desc=option.place, unit=unit, disable=not items) as bar:
            todo = self._missing(items, bar)
            try:
                async with (
                    Endpoint(option, lambda: self._any_known(items)) as way,
                    asyncio.TaskGroup() as group,
                ):
                    for _ in range(min(option.concurrency, len(items))):
                        group.create_task(self._work(todo, way, bar))
            except ExceptionGroup as failed:
                expected = failed.subgroup(FolioError)
                raise (expected.exceptions[0] if expected else failed) from None

    def _any_known(self, items: Iterable[Item]) -> bool:
        return any(self._known(self.call(item))[0] for item in items)

    def _missing(self, items: Iterable[Item], bar: "tqdm[Any]") -> Iterator[tuple[Call[Item], int] | None]:
        """Each call that has something left to ask, and the number of its next one; None for the others."""
        begun: set[str] = set()
        for item in items:
            call = self.call(item)
            key = call.keys[0]
            self._places.append(key)
            if key not in begun:
                begun.add(key)
                replies, outcome = self._known(call)
                if not outcome:
                    yield call, len(replies)
                    continue
                self._outcomes[key] = outcome
            bar.update()
            yield None

    async def _work(
        self, todo: Iterator[tuple[Call[Item], int] | None], way: Endpoint, bar: "tqdm[Any]"
    ) -> None:
        while True:
            async with self._turn:  # one decides at a time, in the items' order
                job = await self._next(todo, bar)
            if job is None:
                return
            call, first, share = job
            self._outcomes[call.keys[0]] = await self._answer(call, first, share, way)
            await self._budget.settle(share)
            bar.update()

    async def _next(
        self, todo: Iterator[tuple[Call[Item], int] | None], bar: "tqdm[Any]"
    ) -> tuple[Call[Item], int, Share] | None:
        """The next call, the number of its next repeat, and what it may cost."""
        for job in todo:
            if job is None:
                await asyncio.sleep(0)  # many known ones in a row must not hold up what is under way
                continue
            call, first = job
            left, one = len(call.keys) - first, self._dearest(call)
            share = await self._budget.reserve(one, (left, left * one[1]))
            if share is not None:
                return call, first, share
            self._outcomes[call.keys[0]] = None, "budget"
            bar.update()
        return None

    def _dearest(self, call: Call[Item]) -> Cost:
        # A prompt has hardly more tokens than half its bytes, whatever the tokeniser.
        return 1, call.prompt_bytes // 2 + self._option.maximum_tokens

    async def _answer(self, call: Call[Item], first: int, share: Share, way: Endpoint) -> Outcome[Content]:
        """Ask until a reply can be read or the calls or the share are used up."""
        outcome: Outcome[Content] = None, "budget"
        for n, key in enumerate(call.keys[first:], start=first):
            # Another process may have stored the reply meanwhile.
            known = self._ledger.get([key])
            if key not in known:
                try:
                    reply = await way.ask(share, **self._request(call, self._option.seed + n))
                except Unanswered as error:
                    return None, error.reason
                self._ledger.put({key: reply})
                # Where another process was faster with this very call, its reply counts.
                known = self._ledger.get([key])
            share.pay(_cost(call, known[key]))
            outcome = read(known[key], self._form.content)
            if _is_last(outcome):
                break
        return outcome

    def _request(self, call: Call[Item], seed: int) -> dict[str, Any]:
        option, formats = self._option, self._form.formats
        structured = {"response_format": formats[option.structured]} if option.structured in formats else {}
        return structured | {
            "messages": [
                {"role": "system", "content": call.system},
                {"role": "user", "content": call.user},
            ],
            "temperature": option.temperature,
            "seed": seed,
            "max_tokens": option.maximum_tokens,
        }


def read(reply: Record, content: type[Content]) -> Outcome[Content]:
    """What a reply says, or what is wrong with it: empty, refused, truncated, malformed, wrong_schema."""
    # Some models think aloud first, or put their JSON between fences.
    text = reply["text"].rpartition("</think>")[2].strip()
    if not text:
        return None, {"content_filter": "refused", "length": "truncated"}.get(reply["finish"], "empty")
    begin, end = max(0, text.find("{")), text.rfind("}") + 1
    try:
        return content.model_validate_json(text[begin : end or None]), None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    if reply["finish"] == "content_filter":
        return None, "refused"
    if fault["type"] != "json_invalid":
        return None, "wrong_schema"
    return None, "truncated" if reply["finish"] == "length" or "EOF" in fault["msg"] else "malformed"


def _is_last(outcome: Outcome[Any]) -> bool:
    # Who refuses once refuses again.
    return outcome[1] in (None, "refused")


def _cost(call: Call[Any], reply: Record) -> Cost:
    # An endpoint need not say how many tokens it read and wrote, and what it says may be nonsense.
    told = sum(map(token_count, reply["tokens"]))
    return 1, told or (call.prompt_bytes + len(reply["text"].encode())) // TOKEN_BYTES
