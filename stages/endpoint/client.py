"""An OpenAI-compatible endpoint: bounded calls, retried while that may help, and named when it does not."""

import asyncio
import json
import math
import os
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self

from stages.endpoint.budget import Share
from stages.endpoint.settings import Compatible
from stages.errors import FolioError
from stages.jsonl import Record

if TYPE_CHECKING:
    import httpx2
    import openai
    from tenacity import RetryCallState

RESPONSE_BYTES = 4 * 2**20
# Of a response, all that this module or the client library looks at.
HEADERS = ("content-type", "retry-after")
KEY_LETTERS = 16  # that a real key has, at least
# The n-th pause is drawn from 0 to BACKOFF * 2**n seconds, and no longer than LONGEST_PAUSE.
BACKOFF = 0.5
LONGEST_PAUSE = 60.0
# What an endpoint may refuse by name, and the name that newer ones want instead; None: it is left out.
OTHERWISE = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "seed": None,
    "response_format": None,
}
CONNECT_SECONDS = 10.0
# Calls in a row without a reply that end a run, at least: that many things may be beyond an endpoint.
FAILURES = 20
# Reasons that tell of the call, not of the endpoint.
OWN_REASONS = {"bad_request", "too_large", "budget"}
# These mean the same to every later call. 402: no money; 405 and 3xx: no such path.
FINAL = {401, 402, 404, 405, 407}
# After these the model may have written a reply all the same.
LATE = {408, 504, 524}
FINISHES = {"stop", "length", "content_filter"}
MOST_TOKENS = 10**7  # of one prompt or reply; who tells more is wrong
FINAL_CODES = re.compile(r"model_not|insufficient_quota|invalid_api_key|billing")


class Unanswered(Exception):  # noqa: N818 - the field's word is the reason
    """A call that ended without a reply; `reason` names why; `served`: there may have been one."""

    def __init__(self, reason: str, pause: float = 0.0, *, served: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.pause, self.served = reason, pause, served


class Passing(Unanswered):
    """What may be over at the next try, not before `pause` seconds."""


class Refused(Unanswered):
    """The endpoint takes no parameter of the name that is the reason."""


class RateLimited(Unanswered):
    """Too many calls: all wait, at least `pause` seconds."""


@dataclass
class Endpoint:
    """Calls of the model that `option` names.

    The key itself is read when the first call is made and stands in no attribute, message or reply.
    `answered_before` says whether the endpoint gave a reply in an earlier run.
    """

    option: Compatible
    answered_before: Callable[[], bool] = lambda: False
    _client: Any = field(default=None, init=False, repr=False)
    _conceal: Callable[[str], str] = field(default=str, init=False, repr=False)
    _long_key: bool = field(default=False, init=False)
    _refused: set[str] = field(default_factory=set, init=False)  # parameters
    _formats: bool = field(default=False, init=False)  # it has accepted a response_format
    _heard: bool = field(default=False, init=False)
    _told: bool = field(default=False, init=False)
    _answered: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)  # in a row
    _limited: int = field(default=0, init=False)  # rate limits in a row
    _not_before: float = field(default=0.0, init=False)  # no request is sent, by the monotonic clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client:
            await self._client.close()

    def _open(self) -> None:
        # Not before there is something to ask: the client library takes half a second.
        import httpx2
        import openai

        name = self.option.key
        # Without a key a server on this machine still wants the header to hold something.
        secret = os.environ.get(name, "").strip() or "none"
        if not re.fullmatch(r"[!-~]+", secret):
            raise FolioError(f"the key in {name} has blanks or letters beyond ASCII; set it again")
        told = bool(os.environ.get(name))
        self._conceal = lambda text: text.replace(secret, "***") if told else text
        self._long_key = told and len(secret) >= KEY_LETTERS
        seconds = self.option.timeout
        # Its own retries wait at most 8 s, bound no total time and forgo a Retry-After above two minutes.
        self._client = openai.AsyncOpenAI(
            api_key=secret,
            base_url=self.option.base_url,
            max_retries=0,
            http_client=_bounded(),
            timeout=httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds / 2)),
        )

    async def ask(self, share: Share, **request: Any) -> Record:
        """Return a completion's `text`, `finish` and `tokens` [prompt, completion].

        `request` is what the API takes: messages, temperature, seed, max_tokens, response_format.
        `share` pays for each request; one that was lost after it was sent is counted here.

        Raises:
            Unanswered: names why, when no try brought a reply.
            FolioError: no later call would fare better: wrong key, model or address, or nobody there.
        """
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, stop_before_delay

        if not self._client:
            self._open()
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.option.tries) | stop_before_delay(self.option.patience),
            wait=_pause,
            retry=retry_if_exception_type(Passing),
            reraise=True,
        )
        until = time.monotonic() + self.option.patience
        try:
            reply: Record = await retrying(self._unhurried, request, share, until)
        except Unanswered as error:
            if error.reason not in OWN_REASONS:
                self._count_failure(error.reason)
            raise Unanswered(error.reason) from None
        self._failures, self._answered = 0, True
        return reply

    def _count_failure(self, reason: str) -> None:
        self._failures += 1
        if self._failures >= max(FAILURES, 2 * self.option.concurrency):
            raise FolioError(
                f"{self.option.base_url} answered none of {self._failures} calls in a row, each tried up to "
                f"{self.option.tries} times ({reason}); try later: what is answered is kept"
            )

    async def _unhurried(self, request: dict[str, Any], share: Share, until: float) -> Record:
        """One try; what meets a rate limit was none, and is sent again when all calls may go on."""
        while True:
            await self._wait(until)
            if not share.affords():
                raise Unanswered("budget")
            try:
                reply = await self._fitted(request)
            except RateLimited as error:
                if time.monotonic() + error.pause > until:
                    raise
                self._hold(error.pause)
            except Unanswered as error:
                if error.served:
                    share.lose()
                raise
            else:
                self._limited = 0
                return reply

    async def _wait(self, until: float) -> None:
        while (pause := self._not_before - time.monotonic()) > 0:
            if self._not_before > until:
                raise RateLimited("rate_limited")
            await asyncio.sleep(pause)

    def _hold(self, pause: float) -> None:
        """Let every call wait so many seconds, and longer from one rate limit to the next."""
        now, more = time.monotonic(), 0.0
        if now >= self._not_before:  # else it was sent before the last rate limit was known
            self._limited = min(self._limited + 1, 30)
            more = random.uniform(0, min(LONGEST_PAUSE, BACKOFF * 2**self._limited))  # noqa: S311
        self._not_before = max(self._not_before, now + pause + more)

    async def _fitted(self, request: dict[str, Any]) -> Record:
        """One request, again where it holds what the endpoint turns out to refuse."""
        while True:
            names = {name: OTHERWISE[name] if name in self._refused else name for name in request}
            fitted = {new: request[name] for name, new in names.items() if new}
            try:
                return await self._formatted(fitted)
            except Refused as error:
                self._leave_out(error.reason)

    async def _formatted(self, request: dict[str, Any]) -> Record:
        try:
            reply = await self._once(request)
        except Refused:
            raise
        except Unanswered as error:
            if error.reason != "bad_request" or "response_format" not in request or self._formats:
                raise
            # Either it offers no such format or it refuses this very passage.
            reply = await self._once({k: v for k, v in request.items() if k != "response_format"})
            if not self._formats:
                self._leave_out("response_format")
            return reply
        self._formats = self._formats or "response_format" in request
        return reply

    def _leave_out(self, name: str) -> None:
        if name not in self._refused:
            self._refused.add(name)
            instead = f"gets {OTHERWISE[name]} instead" if OTHERWISE[name] else "is asked without from now on"
            self._say(f"refuses {name} and {instead}")

    async def _once(self, request: dict[str, Any]) -> Record:
        import httpx2
        import openai

        body = {"model": self.option.model} | request
        try:
            async with asyncio.timeout(self.option.timeout):
                # What chat.completions.create does beyond this, type by type, takes as long as all the rest.
                response = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except TimeoutError:
            raise Passing("timeout", served=True) from None
        except openai.APIConnectionError as error:
            raise self._broken(error) from None
        except openai.APIStatusError as error:
            self._heard = True
            raise self._refusal(error, request) from None
        except RecursionError:  # brackets in brackets
            raise Passing("malformed_response", served=True) from None
        self._heard = True
        reply = _reply(response.content)
        # An endpoint may echo what it was sent. A short "key" (EMPTY, test) is none, and may be a word.
        return reply | {"text": self._conceal(reply["text"])} if self._long_key else reply

    def _broken(self, error: "openai.APIConnectionError") -> Exception:
        import httpx2
        import openai

        unsent = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
        if unsent and not self._heard:
            o = self.option
            return FolioError(
                f"{o.base_url} cannot be reached ({o.place}.base_url) for model {o.model}: "
                f"is its server up? A key would come from {o.key}"
            )
        timeout = isinstance(error, openai.APITimeoutError)
        return Passing("timeout" if timeout else "unreachable", served=not unsent)

    def _refusal(self, error: "openai.APIStatusError", request: dict[str, Any]) -> Exception:
        status, code = error.status_code, f"{error.code or ''} {error.type or ''}"
        name = error.param if isinstance(error.param, str) else None
        if status in FINAL or status < 400 or FINAL_CODES.search(code) or name == "model":
            return FolioError(self._final(status, code))
        if status == 403:
            # Some guard their model by it: after a reply it is about the passage, not about the key.
            known = self._answered or self.answered_before()
            return Unanswered("forbidden") if known else FolioError(self._final(status, code))
        if status == 429:
            return RateLimited("rate_limited", _retry_after(error.response.headers))
        if status in (408, 409) or status >= 500:
            reason = "timeout" if status == 408 else "server_error"
            return Passing(reason, _retry_after(error.response.headers), served=status in LATE)
        worked = name == "response_format" and self._formats
        if name in OTHERWISE and name in request and not worked:
            return Refused(name)
        if "response_format" not in request or self._formats:
            self._tell(status, error.message)
        return Unanswered("bad_request")

    def _tell(self, status: int, message: str) -> None:
        """Show once what the endpoint says against a passage; the reasons alone would not explain it."""
        if not self._told:
            self._told = True
            words = " ".join(self._conceal(message).split())
            plain = "".join(filter(str.isprintable, words))[:200]
            self._say(f"refuses a call ({status}): {plain}")

    def _say(self, what: str) -> None:
        from tqdm import tqdm

        # On a line of its own, whatever progress bar is shown.
        tqdm.write(f"{self.option.place}: {self.option.base_url} {what}", file=sys.stderr)

    def _final(self, status: int, code: str) -> str:
        o = self.option
        key = o.key if os.environ.get(o.key) else f"{o.key}, which is not set"
        if "quota" in code or "billing" in code or status == 402:
            remedy = "its account has no quota left"
        elif status in (401, 403) or "api_key" in code:
            remedy = "set that variable to a key that may use this model"
        else:
            remedy = f"check {o.place}.model and {o.place}.base_url"
        return f"{o.base_url} refuses model {o.model} ({status}), asked with the key in {key}: {remedy}"


def _pause(state: "RetryCallState") -> float:
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    wanted = error.pause if isinstance(error, Passing) else 0.0
    return wanted + wait_random_exponential(multiplier=BACKOFF, max=LONGEST_PAUSE)(state)


def _retry_after(headers: "httpx2.Headers") -> float:
    """Seconds that a Retry-After asks for, which holds seconds or an HTTP date; 0 without one."""
    value = headers.get("retry-after", "0")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return max(0.0, seconds) if not math.isnan(seconds) else 0.0


def _bounded() -> "httpx2.AsyncClient":
    """The client library's own HTTP client, which stops reading a response that does not end."""
    import httpx2
    import openai

    class Bounded(openai.DefaultAsyncHttpxClient):
        async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            response = await super().send(request, **options | {"stream": True})
            body = bytearray()
            try:
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > RESPONSE_BYTES:
                        raise Unanswered("too_large", served=True)
            finally:
                await response.aclose()
            # Not those of the framing: the body is decoded by now.
            headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
            return httpx2.Response(
                response.status_code, headers=headers, content=bytes(body), request=request
            )

    # A redirect would turn the POST into a GET, or carry passages to another host.
    return Bounded(follow_redirects=False)


def _reply(body: bytes) -> Record:
    """What a completion says; a body that is none is a fault on the way (a proxy's page, a cut)."""
    try:
        record = json.loads(body)
        choice, usage = record["choices"][0], record.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        message, finish = choice["message"], choice.get("finish_reason")
        text = str(message.get("content") or "")
        refused = not text and bool(message.get("refusal"))
        tokens = [token_count(usage.get(f"{part}_tokens")) for part in ("prompt", "completion")]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise Passing("malformed_response", served=True) from None
    known = finish if isinstance(finish, str) and finish in FINISHES else "other"
    # A lone surrogate, which JSON may hold and UTF-8 may not.
    whole = text.encode("utf-8", "replace").decode()
    return {"text": whole, "finish": "content_filter" if refused else known, "tokens": tokens}


def token_count(value: object) -> int:
    """A number of tokens as an endpoint tells it, from 0 to 10 million; what is no number is 0."""
    if not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        return 0
    return int(min(max(value, 0), MOST_TOKENS))
