"""A real HTTP server on loopback that speaks /v1/chat/completions, and misbehaves when asked to.

python -m tests.endpoint LATENCY prints its URL and serves until its standard input ends. Beside it
stands what starts a real stage that asks the server, and what interrupts one.
"""

import asyncio
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from tests.imports import ROOT

MODEL = "writer"
KEY = "FOLIO_TEST_KEY"
SECRET = "sk-very-secret-0123456789"  # noqa: S105
# What every option that asks an endpoint takes, but for base_url, prompt and name.
KNOBS: dict[str, Any] = {
    "model": MODEL, "key": KEY, "concurrency": 4, "temperature": 0.5, "seed": 0, "maximum_tokens": 64,
    "structured": "json_schema", "repeats": 3, "timeout": 30.0, "tries": 8, "patience": 60.0,
    "budget_calls": None, "budget_tokens": None, "input_price": None, "output_price": None,
}  # fmt: skip
# All but "slow": only a test of its own has a timeout that a busy machine might reach.
PASSING = ("408", "409", "429", "429-date", "500", "drop", "cut", "html", "no-choices")
CONTENT = ("truncated", "malformed", "wrong-schema", "empty")
SENTENCE = re.compile(r"\S[^.!?]*[.!?]")


@dataclass(frozen=True)
class Request:
    """What was asked: the parsed body, and how often this very body came before."""

    body: dict[str, Any]
    before: int
    headers: dict[str, str]
    arrived: float

    @cached_property
    def user(self) -> str:
        """The user's turn."""
        return str(self.body["messages"][-1]["content"])

    def part(self, tag: str) -> str:
        """What stands between the tags, or nothing."""
        return self.user.partition(f"<{tag}>\n")[2].partition(f"\n</{tag}>")[0]

    @property
    def passage(self) -> str:
        return self.part("passage")

    @property
    def seed(self) -> int:
        return int(self.body.get("seed", -1))

    def draw(self, *salt: object) -> float:
        """A number of [0, 1) that hangs on what is asked, the seed and the salt alone."""
        seal = hashlib.sha256(repr((self.user, self.seed, *salt)).encode()).digest()
        return int.from_bytes(seal[:6], "big") / 2**48


Behaviour = Callable[[Request], str]


def good(_: Request) -> str:
    return "good"


def faulty(share: float) -> Behaviour:
    """Half of the faults pass when the call is tried again, half stay with what is asked and the seed."""

    def behave(request: Request) -> str:
        passing = request.draw(request.before, "passing")
        if passing < share / 2:
            return PASSING[int(passing / (share / 2) * len(PASSING))]
        content = request.draw("content")
        return CONTENT[int(content / (share / 2) * len(CONTENT))] if content < share / 2 else "good"

    return behave


def pairs(passage: str) -> list[dict[str, str]]:
    """One pair for each of the first five sentences, which is answer and quote."""
    return [
        {
            "kind": "fact",
            "question": f"What is known about {' '.join(s.split()[:3])}?",
            "answer": s,
            "quote": s,
        }
        for s in [match[0] for match in SENTENCE.finditer(passage)][:5]
    ]


def reply(request: Request) -> dict[str, Any]:
    """A judgement where an answer is shown, an answer where a question is, else pairs."""
    if request.part("answer"):
        return {"answerable": True, "correct": True, "self_contained": True, "score": 5}
    if request.part("question"):
        return {"answer": pairs(request.passage)[0]["answer"]}
    return {"pairs": pairs(request.passage)}


@dataclass
class Server:
    """Serves in a thread while the block runs; `answered` counts completions by user's turn and seed."""

    behave: Behaviour = good
    latency: float = 0.0
    key: str | None = None
    offers: tuple[str, ...] = ("json_schema", "json_object")
    write: Callable[[Request], dict[str, Any]] = reply
    bend: Callable[[Request, dict[str, Any]], dict[str, Any]] = lambda _, whole: whole  # the completion
    retry_after: float = 1.0  # seconds, with status 429
    requests: list[Request] = field(default_factory=list)
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    strays: list[str] = field(default_factory=list)  # paths that nobody should ask for
    at_once: int = 0
    most_at_once: int = 0
    keep: bool = True

    def __enter__(self) -> Self:
        self._seen: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**22)
        )
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._one(head.decode("latin-1"), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client, or the test, is done
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived = self._loop.time()
        first, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        if first.split()[1] != "/v1/chat/completions":
            self.strays.append(first)
            return await _send(writer, 404, _error("no such path"))
        body = json.loads(raw)
        seen = hashlib.sha256(raw).hexdigest()
        request = Request(body, self._seen[seen], headers, arrived)
        self._seen[seen] += 1
        if self.keep:
            self.requests.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._answer(request, writer)
        finally:
            self.at_once -= 1
        return None

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            shown = request.headers.get("authorization", "")
            return await _send(writer, 401, _error(f"Incorrect API key: {shown}", code="invalid_api_key"))
        if request.body["model"] != MODEL:
            return await _send(writer, 404, _error("no such model", code="model_not_found"))
        wanted = request.body.get("response_format", {}).get("type")
        if wanted and wanted not in self.offers:
            return await _send(writer, 400, _error(f"{wanted} is not supported"))
        kind = self.behave(request)
        if kind != "good":
            self.faults[kind] += 1
        return await self._misbehave(kind, request, writer)

    async def _misbehave(self, kind: str, request: Request, writer: asyncio.StreamWriter) -> None:
        match kind:
            case "slow":
                await asyncio.sleep(60)
            case "drop":
                raise ConnectionResetError
            case "html":
                await _send(writer, 200, b"<html>Bad gateway</html>", {"Content-Type": "text/html"})
            case "endless":
                await _send(writer, 200, b" " * 5 * 2**20)
            case "no-choices":
                await _send(writer, 200, json.dumps({"error": {"message": "upstream"}}).encode())
            case "429-date":
                soon = format_datetime(datetime.now(UTC) + timedelta(seconds=self.retry_after), usegmt=True)
                await _send(writer, 429, _error("slow down"), {"Retry-After": soon})
            case "quota":
                await _send(writer, 429, _error("pay", code="insufficient_quota"), {"Retry-After": "1"})
            case _ if kind.startswith("refuses "):
                name = kind.split()[1]
                param = name if name.isidentifier() else [name]
                await _send(writer, 400, _error(f"{name} is not supported", param=param))
            case _ if kind.isdigit():
                more = {"429": {"Retry-After": f"{self.retry_after}"}, "3": {"Location": "/v1/elsewhere"}}
                headers = more.get(kind) or more.get(kind[0], {})
                await _send(writer, int(kind), _error("told to"), headers)
            case _:
                await self._complete(kind, request, writer)

    async def _complete(self, kind: str, request: Request, writer: asyncio.StreamWriter) -> None:
        text = json.dumps(self.write(request))
        finish = "stop"
        match kind:
            case "truncated":
                text, finish = text[: len(text) // 2], "length"
            case "malformed":
                text = text.replace('"', "'", 1)
            case "wrong-schema":
                text = f'{{"else": {text}}}'
            case "echo":
                text = text.replace("What", request.headers["authorization"])
            case "empty":
                text = ""
        tokens = {"prompt_tokens": 200, "completion_tokens": len(text) // 4}
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
        whole = {"id": "c", "object": "chat.completion", "created": 0, "model": MODEL} | {
            "choices": [choice],
            "usage": tokens,
        }
        body = json.dumps(self.bend(request, whole)).encode()
        # What it takes to write the reply is part of the latency, as it is for a model.
        await asyncio.sleep(request.arrived + self.latency - self._loop.time())
        if kind == "cut":
            await _send(writer, 200, body[: len(body) // 2], {"Content-Length": str(len(body))})
            raise ConnectionResetError
        if self.keep:
            self.answered[request.user, request.seed] += 1
        await _send(writer, 200, body)


def _error(message: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error"} | more}).encode()


async def _send(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {})
    head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    writer.write(head.encode() + b"\r\n" + body)
    await writer.drain()


def start(stage: str, folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Run a real stage in `folder`, its cache in there too; one pipe has both its outputs.

    Where the tests themselves run in the background Ctrl-C is ignored; the stage is not to inherit that.
    """
    own = {
        "FOLIO_CACHE": str(folder / "cache"),
        KEY: SECRET,
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": "127.0.0.1",
    }
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", f"stages.{stage}", *words],
            cwd=folder,
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def interrupt(process: "subprocess.Popen[str]", server: Server, replies: int, sign: signal.Signals) -> str:
    """Send a signal once the server has given so many more replies; what the process printed.

    It must be that signal which ends the process.
    """
    until = server.answered.total() + replies
    while server.answered.total() < until and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(sign)
    log = process.communicate(timeout=60)[0]
    assert process.returncode in (-sign, 128 + sign), log
    return log


if __name__ == "__main__":
    with Server(latency=float(sys.argv[1]), keep=False) as server:
        print(server.url, flush=True)
        sys.stdin.read()
