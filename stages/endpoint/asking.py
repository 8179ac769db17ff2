"""Many calls to one endpoint, side by side and within a budget; none that the ledger knows."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from stages import cache
from stages.endpoint.budget import Budget, Cost, covers
from stages.endpoint.client import Endpoint, Unanswered
from stages.endpoint.settings import Compatible
from stages.errors import FolioError
from stages.jsonl import Record
from stages.ledger import Ledger

if TYPE_CHECKING:
    from tqdm import tqdm

# For estimates alone: bytes of UTF-8 in a token.
TOKEN_BYTES = 4

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
        yield from (self._outcomes[key] for key in self._places)

    def plan(self, items: Iterable[Item], reply_tokens: Callable[[Item], int]) -> dict[str, Any]:
        """What `ask` would ask for: `calls` not in the ledger, estimated tokens, and their `cost`.

        The cost is in the currency of the prices, None where one is unknown. Calls that repeat
        a reply which is no valid JSON are not foreseen.
        """
        option, seen = self._option, set()
        calls = prompt = reply = 0
        for call in map(self.call, items):
            if call.keys[0] not in seen and not self._known(call)[1]:
                calls += 1
                prompt += call.prompt_bytes // TOKEN_BYTES
                reply += min(option.maximum_tokens, reply_tokens(call.item))
            seen.add(call.keys[0])
        prices = option.input_price, option.output_price
        cost = None if None in prices else (prompt * (prices[0] or 0) + reply * (prices[1] or 0)) / 1e6
        return {"calls": calls, "prompt_tokens": prompt, "reply_tokens": reply, "cost": cost}

    def call(self, item: Item) -> Call[Item]:
        """What is asked about an item, and under which keys the ledger holds the replies."""
        option, form = self._option, self._form
        system, user = self._texts(item)
        sampling = option.structured, option.temperature, option.maximum_tokens
        content = form.name, form.version, option.base_url, option.model, sampling, system, user
        seal, seeds = cache.digest(*content), range(option.seed, option.seed + option.repeats)
        return Call(item, system, user, [cache.digest(seal, seed) for seed in seeds])

    def _known(self, call: Call[Item]) -> tuple[list[Record], Outcome[Content] | None]:
        """The stored replies up to the first that can be read, and what they come to; None: ask on."""
        replies: list[Record] = []
        outcome: Outcome[Content] | None = None
        for key in call.keys:
            found = self._ledger.get([key])
            if key not in found:
                return replies, None
            replies.append(found[key])
            outcome = read(found[key], self._form.content)
            if outcome[1] is None:
                break
        return replies, outcome

    async def _run(self, items: Sequence[Item]) -> None:
        """Ask with as many workers as calls may be in flight.

        Each prepares its next call itself, so that this is done while others are under way.
        """
        from tqdm import tqdm

        option, unit = self._option, self._form.unit
        with tqdm(total=len(items), desc=option.place, unit=unit, disable=not items) as bar:
            todo = self._missing(items, bar)
            try:
                async with Endpoint(option) as way, asyncio.TaskGroup() as workers:
                    for _ in range(min(option.concurrency, len(items))):
                        workers.create_task(self._work(todo, way, bar))
            except ExceptionGroup as group:
                expected = group.subgroup(FolioError)
                raise (expected.exceptions[0] if expected else group) from None

    def _missing(self, items: Iterable[Item], bar: "tqdm[Any]") -> Iterator[tuple[Call[Item], int]]:
        """Each call that has something left to ask, and the number of its next one."""
        begun: set[str] = set()
        for item in items:
            call = self.call(item)
            key = call.keys[0]
            self._places.append(key)
            if key not in begun:
                begun.add(key)
                replies, outcome = self._known(call)
                for reply in replies:
                    self._budget.spend(_cost(call, reply))
                if not outcome:
                    yield call, len(replies)
                    continue
                self._outcomes[key] = outcome
            bar.update()

    async def _work(self, todo: Iterator[tuple[Call[Item], int]], way: Endpoint, bar: "tqdm[Any]") -> None:
        while True:
            async with self._turn:  # one decides at a time, in the items' order
                job = await self._next(todo, bar)
            if job is None:
                return
            call, first, share = job
            cost = await self._answer(call, first, share, way)
            await self._budget.settle(share, cost)
            bar.update()

    async def _next(
        self, todo: Iterator[tuple[Call[Item], int]], bar: "tqdm[Any]"
    ) -> tuple[Call[Item], int, Cost] | None:
        """The next call, the number of its next repeat, and what it may cost."""
        for call, first in todo:
            left, one = self._option.repeats - first, self._dearest(call)
            share = await self._budget.reserve(one, (left, left * one[1]))
            if share is not None:
                return call, first, share
            self._outcomes[call.keys[0]] = None, "budget"
            bar.update()
        return None

    def _dearest(self, call: Call[Item]) -> Cost:
        # A prompt has hardly more tokens than half its bytes, whatever the tokeniser.
        return 1, call.prompt_bytes // 2 + self._option.maximum_tokens

    async def _answer(self, call: Call[Item], first: int, share: Cost, way: Endpoint) -> Cost:
        """Ask until a reply can be read or the calls or the share are used up; what it cost."""
        option, spent = self._option, (0.0, 0.0)
        one = self._dearest(call)
        for n in range(first, option.repeats):
            if not covers(share, (spent[0] + one[0], spent[1] + one[1])):
                self._outcomes[call.keys[0]] = None, "budget"
                break
            try:
                reply = await way.ask(**self._request(call, option.seed + n))
            except Unanswered as error:
                self._outcomes[call.keys[0]] = None, error.reason
                break
            self._ledger.put({call.keys[n]: reply})
            # Where another process has meanwhile stored a reply to this very call, that one counts.
            reply = self._ledger.get([call.keys[n]])[call.keys[n]]
            cost = _cost(call, reply)
            spent = spent[0] + cost[0], spent[1] + cost[1]
            self._outcomes[call.keys[0]] = outcome = read(reply, self._form.content)
            if outcome[1] is None:
                break
        return spent

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
        return None, "refused" if reply["finish"] == "content_filter" else "empty"
    begin, end = max(0, text.find("{")), text.rfind("}") + 1
    try:
        return content.model_validate_json(text[begin : end or None]), None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    if fault["type"] != "json_invalid":
        return None, "wrong_schema"
    return None, "truncated" if reply["finish"] == "length" or "EOF" in fault["msg"] else "malformed"


def _cost(call: Call[Any], reply: Record) -> tuple[float, float]:
    # An endpoint need not say how many tokens it read and wrote.
    told = sum(reply["tokens"])
    return 1, told or (call.prompt_bytes + len(reply["text"].encode())) // TOKEN_BYTES
