"""An OpenAI-compatible endpoint reads one chunk and writes several pairs, each with its quote."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from string import Template
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from stages import cache
from stages.endpoint.budget import Budget, Cost, covers
from stages.endpoint.client import Endpoint, Unanswered, fault_of_url
from stages.endpoint.evidence import locate
from stages.errors import FolioError
from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.topic import topic

# Raised when the way of asking changes, so that the ledger's older replies no longer count.
FORM = 1
PLACEHOLDERS = {"section", "passage", "pairs"}
# For estimates alone: bytes of UTF-8 in a token, and tokens of a pair with its quote as JSON.
TOKEN_BYTES = 4
PAIR_TOKENS = 110
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Pair(BaseModel):
    """A pair as the endpoint writes it."""

    question: Text
    answer: Text
    quote: str


class Pairs(BaseModel):
    """What the endpoint replies; none: the passage has nothing to ask about."""

    pairs: list[Pair]


# By hand: what pydantic writes has $ref and minLength, which not every endpoint takes.
SCHEMA = {
    "type": "object",
    "properties": {
        "pairs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in Pair.model_fields},
                "required": list(Pair.model_fields),
                "additionalProperties": False,
            },
        }
    },
    "required": ["pairs"],
    "additionalProperties": False,
}
FORMATS: dict[str, dict[str, Any]] = {
    "json_schema": {
        "type": "json_schema",
        "json_schema": {"name": "pairs", "strict": True, "schema": SCHEMA},
    },
    "json_object": {"type": "json_object"},
}


@setting
class OpenAI(Option):
    """One call for each chunk; every reply is kept in the ledger as it came, also one that is no JSON."""

    base_url: str
    model: str = Field(min_length=1)
    key: str
    prompt: dict[str, str]
    concurrency: int = Field(ge=1, le=512)
    words_per_pair: int = Field(ge=1)
    maximum_pairs: int = Field(ge=1, le=50)
    temperature: float = Field(ge=0, le=2)
    seed: int
    maximum_tokens: int = Field(ge=16)
    structured: Literal["json_schema", "json_object", "none"]
    repeats: int = Field(ge=1, le=10)
    timeout: float = Field(gt=0, le=3600)
    tries: int = Field(ge=1, le=20)
    patience: float = Field(gt=0)
    similarity: float = Field(ge=0.5, le=1)
    budget_calls: int | None = Field(ge=0)
    budget_tokens: int | None = Field(ge=0)
    input_price: float | None = Field(ge=0)
    output_price: float | None = Field(ge=0)
    watch: str
    code: str

    @model_validator(mode="after")
    def _possible(self) -> "OpenAI":
        # Neither sentence repeats the value: it may hold a key.
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", self.key):
            raise ValueError("generator.key is the NAME of an environment variable (OPENAI_API_KEY), no key")
        if fault := fault_of_url(self.base_url):
            raise ValueError(f"generator.base_url {fault}")
        if set(self.prompt) != {"system", "user"}:
            raise ValueError("generator.prompt has two texts: system and user")
        user = Template(self.prompt["user"])
        if not user.is_valid() or not {"passage"} <= set(user.get_identifiers()) <= PLACEHOLDERS:
            raise ValueError("generator.prompt.user must hold $passage, and may hold $section and $pairs")
        return self

    @property
    def identity(self) -> str:
        """The model and where it is."""
        return f"{self.model} at {self.base_url}"

    def __call__(self, chunks: Iterable[Record], ledger: Ledger) -> Iterator[Record]:
        """Yield candidate pairs (chunk, topic, question, answer, evidence, score), in the chunks' order.

        `score` is the similarity of the quote to its place. A candidate with a `reason` is
        rejected: its quote stands nowhere (`evidence_missing`), or, with an empty question, its
        chunk gave no pair at all. So every chunk yields at least one record.

        Raises:
            FolioError: the endpoint refuses the key or the model, or is not there.
        """
        calls = [self.call(chunk) for chunk in chunks]
        asking = _Asking(self, ledger)
        if not all(self.replies(call, ledger)[1] for call in calls):
            asyncio.run(asking.ask(calls))
        for call in calls:
            yield from self._candidates(call, ledger, asking.reasons)

    def plan(self, chunks: Iterable[Record], ledger: Ledger) -> dict[str, Any]:
        """What a run would ask for: `calls` not in the ledger, estimated tokens, and their `cost`.

        The cost is in the currency of the prices, None where one is unknown. Calls that repeat
        a reply which is no valid JSON are not foreseen.
        """
        calls = {call.keys[0]: call for call in map(self.call, chunks)}
        missing = [call for call in calls.values() if not self.replies(call, ledger)[1]]
        prompt = sum(call.prompt_bytes // TOKEN_BYTES for call in missing)
        reply = sum(min(self.maximum_tokens, self._pairs(call.chunk) * PAIR_TOKENS) for call in missing)
        prices = self.input_price, self.output_price
        cost = None if None in prices else (prompt * (prices[0] or 0) + reply * (prices[1] or 0)) / 1e6
        return {"calls": len(missing), "prompt_tokens": prompt, "reply_tokens": reply, "cost": cost}

    def call(self, chunk: Record) -> "Call":
        """What is asked about a chunk, and under which keys the ledger holds the replies."""
        system, user = self.messages(chunk)
        sampling = self.structured, self.temperature, self.maximum_tokens
        seeds = range(self.seed, self.seed + self.repeats)
        content = "openai", FORM, self.base_url, self.model, sampling, system, user
        return Call(chunk, len(f"{system}{user}".encode()), [cache.digest(*content, n) for n in seeds])

    def messages(self, chunk: Record) -> tuple[str, str]:
        """What the system and the user say about a chunk."""
        section = " > ".join(chunk["headings"]) or chunk["document"]
        values = {"section": section, "passage": chunk["text"], "pairs": self._pairs(chunk)}
        return self.prompt["system"], Template(self.prompt["user"]).substitute(values)

    def _pairs(self, chunk: Record) -> int:
        return min(self.maximum_pairs, max(1, len(chunk["text"].split()) // self.words_per_pair))

    def replies(self, call: "Call", ledger: Ledger) -> tuple[list[Record], bool]:
        """The known replies up to the first that can be read, and whether there is nothing left to ask."""
        known = ledger.get(call.keys)
        found: list[Record] = []
        for key in call.keys:
            if key not in known:
                return found, False
            found.append(known[key])
            if read(known[key])[1] is None:
                break
        return found, True

    def _candidates(self, call: "Call", ledger: Ledger, reasons: dict[str, str]) -> Iterator[Record]:
        replies, finished = self.replies(call, ledger)
        pairs, fault = read(replies[-1]) if finished else ([], reasons[call.keys[0]])
        if not pairs:
            yield _record(call.chunk, "", "") | {"reason": fault or "nothing_to_ask"}
        for pair in pairs:
            found = locate(pair.quote, call.chunk["text"], self.similarity)
            record = _record(call.chunk, _line(pair.question), _line(pair.answer))
            record |= {"evidence": [found.start, found.end], "score": found.similarity}
            yield record if found.end else record | {"reason": "evidence_missing"}


@dataclass(frozen=True)
class Call:
    """A chunk's question to the endpoint; `keys` are of its first and of each repeated call."""

    chunk: Record
    prompt_bytes: int
    keys: list[str]


def read(reply: Record) -> tuple[list[Pair], str | None]:
    """The pairs of a reply, or what is wrong with it: empty, refused, truncated, malformed, wrong_schema."""
    # Some models think aloud first, or put their JSON between fences.
    text = reply["text"].rpartition("</think>")[2].strip()
    if not text:
        return [], "refused" if reply["finish"] == "content_filter" else "empty"
    begin, end = max(0, text.find("{")), text.rfind("}") + 1
    try:
        return Pairs.model_validate_json(text[begin : end or None]).pairs, None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    if fault["type"] != "json_invalid":
        return [], "wrong_schema"
    return [], "truncated" if reply["finish"] == "length" or "EOF" in fault["msg"] else "malformed"


class _Asking:
    """Makes the calls that the ledger lacks, and keeps why one brought no reply (by its first key)."""

    def __init__(self, option: OpenAI, ledger: Ledger) -> None:
        self._option, self._ledger = option, ledger
        self._budget = Budget(option.budget_calls, option.budget_tokens)
        self._turn = asyncio.Lock()
        self.reasons: dict[str, str] = {}

    async def ask(self, calls: Sequence[Call]) -> None:
        """Ask with as many workers as calls may be in flight; the rest waits as bare chunks."""
        from tqdm import tqdm

        o = self._option
        way = Endpoint(o.base_url, o.model, o.key, o.concurrency, o.timeout, o.tries, o.patience)
        unique = {call.keys[0]: call for call in calls}.values()
        with tqdm(unique, desc="questions", unit="chunk") as queue:
            todo = iter(queue)
            try:
                async with way, asyncio.TaskGroup() as workers:
                    for _ in range(min(o.concurrency, len(unique))):
                        workers.create_task(self._work(todo, way))
            except ExceptionGroup as group:
                expected = group.subgroup(FolioError)
                raise (expected.exceptions[0] if expected else group) from None

    async def _work(self, todo: Iterator[Call], way: Endpoint) -> None:
        while True:
            async with self._turn:  # one decides at a time, in the chunks' order
                job = await self._next(todo)
            if job is None:
                return
            call, first, share = job
            cost = await self._answer(call, first, share, way)
            await self._budget.settle(share, cost)

    async def _next(self, todo: Iterator[Call]) -> tuple[Call, int, Cost] | None:
        """The next chunk to ask about, the number of its next call, and what it may cost."""
        for call in todo:
            replies, finished = self._option.replies(call, self._ledger)
            for reply in replies:
                self._budget.spend(_cost(call, reply))
            if finished:
                continue
            left, one = self._option.repeats - len(replies), self._dearest(call)
            share = await self._budget.reserve(one, (left, left * one[1]))
            if share is not None:
                return call, len(replies), share
            self.reasons[call.keys[0]] = "budget"
        return None

    def _dearest(self, call: Call) -> Cost:
        # A prompt has hardly more tokens than half its bytes, whatever the tokeniser.
        return 1, call.prompt_bytes // 2 + self._option.maximum_tokens

    async def _answer(self, call: Call, first: int, share: Cost, way: Endpoint) -> Cost:
        """Ask until a reply can be read or the calls or the share are used up; what it cost."""
        option, spent = self._option, (0.0, 0.0)
        one = self._dearest(call)
        for n in range(first, option.repeats):
            if not covers(share, (spent[0] + one[0], spent[1] + one[1])):
                self.reasons[call.keys[0]] = "budget"
                break
            try:
                reply = await way.ask(**self._request(call, option.seed + n))
            except Unanswered as error:
                self.reasons[call.keys[0]] = error.reason
                break
            self._ledger.put({call.keys[n]: reply})
            cost = _cost(call, reply)
            spent = spent[0] + cost[0], spent[1] + cost[1]
            if read(reply)[1] is None:
                break
        return spent

    def _request(self, call: Call, seed: int) -> dict[str, Any]:
        option = self._option
        messages = zip(("system", "user"), option.messages(call.chunk), strict=True)
        structured = {"response_format": FORMATS[option.structured]} if option.structured in FORMATS else {}
        return structured | {
            "messages": [{"role": role, "content": content} for role, content in messages],
            "temperature": option.temperature,
            "seed": seed,
            "max_tokens": option.maximum_tokens,
        }


def _cost(call: Call, reply: Record) -> tuple[float, float]:
    # An endpoint need not say how many tokens it read and wrote.
    told = sum(reply["tokens"])
    return 1, told or (call.prompt_bytes + len(reply["text"].encode())) // TOKEN_BYTES


def _record(chunk: Record, question: str, answer: str) -> Record:
    pair = {"question": question, "answer": answer, "evidence": [0, 0], "score": 0.0}
    return {"chunk": chunk, "topic": topic(chunk)} | pair


def _line(text: str) -> str:
    return CONTROLS.sub("", " ".join(text.split()))
