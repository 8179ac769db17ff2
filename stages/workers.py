"""Worker processes over many files: one that crashes or hangs a library takes down its own worker alone."""

import contextlib
import functools
import math
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any, Literal, TypeVar

from stages.errors import FolioError

# A small pool of our own, for the standard ones do not survive a native crash: concurrent.futures
# gives up all its work with the first process that dies, and multiprocessing.Pool waits for that
# process for ever. pebble does it right, but under the LGPL.

T = TypeVar("T")
R = TypeVar("R")

GRACE = 5.0  # seconds that a process has to be gone once it was told to go, or killed
LONGEST = 300  # characters of an unforeseen exception's message


@dataclass(frozen=True)
class Failure:
    """Why an item gave no result.

    `reason` goes on from the item's name, as `took longer than 60 s` does; where the task raised
    FolioError (`refused`) it is that error's message.
    """

    kind: Literal["refused", "time", "memory", "crash", "bug"]
    reason: str


def cores() -> int:
    """How many processes can work side by side on this machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(
    task: Callable[[T], R],
    items: Sequence[T],
    *,
    workers: int,
    seconds: float,
    memory: float | None = None,
    preload: Sequence[str] = (),
) -> Generator[tuple[int, R | Failure], None, None]:
    """Run `task` on every item in other processes; yield (index, result) as they finish.

    No worker is left once the generator ends or is closed. If this process is killed, its workers
    end at once on Linux, elsewhere after the item that they have in hand.

    Args:
        task: a function of a module, a `functools.partial` of one, or an object that can be called;
            it and its results must pickle. A large output belongs in a file that it writes.
        items: what the task is given, one at a time.
        workers: the most processes at once, at least 1.
        seconds: the longest that an item may take; the start of its process does not count.
        memory: the most data that a process may hold, in GiB; only Linux keeps to it.
        preload: modules that all workers need, imported once; never the main module. The first
            call of a process decides about them, and about the workers' environment variables.

    Raises:
        RuntimeError: a worker ended before it was given an item.
    """
    if workers < 1:
        raise ValueError(f"workers={workers}: at least one is needed")
    return _run(functools.partial(_Worker, _context(preload), task, memory), items, workers, seconds)


def _run(
    hire: Callable[[], "_Worker"], items: Sequence[T], workers: int, seconds: float
) -> Generator[tuple[int, Any], None, None]:
    pool: list[_Worker] = []
    given = 0
    try:
        for _ in range(min(workers, len(items))):
            _start(hire, pool)
        while pool:
            for worker in _due(pool):
                index, outcome = worker.index, worker.outcome()
                # What an unforeseen failure left behind in a library might fail the next file.
                sound = not isinstance(outcome, Failure) or outcome.kind == "refused"
                if sound and given < len(items):
                    worker.begin(given, items[given], seconds)
                    given += 1
                else:
                    pool.remove(worker)
                    worker.end()
                    if given < len(items):
                        _start(hire, pool)
                if index is not None:
                    yield index, outcome
    finally:
        for worker in pool:
            worker.kill()
        for worker in pool:
            worker.end()


class _Worker:
    """A process, the pipe to it, and what it has in hand; at first nothing, until it is ready."""

    def __init__(
        self, context: ForkServerContext | SpawnContext, task: Callable[[Any], Any], memory: float | None
    ) -> None:
        self.pipe, theirs = context.Pipe()
        # Should this process end without care for its workers, the interpreter stops a daemon.
        self.process = context.Process(target=_serve, args=(task, theirs, memory), daemon=True)
        self.memory = memory
        self.index: int | None = None
        self.seconds = self.deadline = math.inf
        self.process.start()
        theirs.close()  # else the end of the process would not be the end of the pipe

    def begin(self, index: int, item: object, seconds: float) -> None:
        """Hand over an item; its time runs from now."""
        self.index, self.seconds, self.deadline = index, seconds, time.monotonic() + seconds
        with contextlib.suppress(ConnectionError):  # it died meanwhile: the next wait will tell
            self.pipe.send(item)

    def outcome(self) -> Any:
        """What the task gave, or why it gave nothing; for a worker in `_due`."""
        if self.pipe.poll():
            try:
                return self.pipe.recv()
            except (EOFError, OSError):
                return self._fate()
            except Exception as error:  # noqa: BLE001 - a result may raise anything as it is unpickled
                return _explain(error, self.memory)
        if time.monotonic() < self.deadline:
            return self._fate()
        self.kill()
        return Failure("time", f"took longer than {self.seconds:g} s")

    def _fate(self) -> Failure:
        self.end()
        fate = _describe(self.process.exitcode, self.memory)
        if self.index is None:
            raise RuntimeError(f"a worker {fate} before it was given a file")
        return Failure("crash", fate)

    def kill(self) -> None:
        """End the process at once, whatever it is doing."""
        if self.process.is_alive():
            self.process.kill()

    def end(self) -> None:
        """Let the process go, and see that it went."""
        self.pipe.close()
        self.process.join(GRACE)
        self.kill()
        self.process.join(GRACE)


def _context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def _start(hire: Callable[[], _Worker], pool: list[_Worker]) -> None:
    """Add a worker; a Ctrl-C meanwhile waits until the pool knows of it, and never reaches it."""
    if sys.platform == "win32":
        pool.append(hire())
        return
    resource_tracker.ensure_running()  # its start would end the mask below
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        pool.append(hire())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _due(pool: list[_Worker]) -> list[_Worker]:
    """Wait for, and return, the workers that have something to say, have died or are out of time."""
    nearest = min(worker.deadline for worker in pool)
    patience = None if nearest == math.inf else max(0.0, nearest - time.monotonic())
    signs = [sign for worker in pool for sign in (worker.pipe, worker.process.sentinel)]
    ready = connection.wait(signs, patience)
    now = time.monotonic()
    return [w for w in pool if w.pipe in ready or w.process.sentinel in ready or w.deadline <= now]


def _describe(code: int | None, memory: float | None) -> str:
    """A process's exit code in words."""
    if code is None or code >= 0:
        return f"ended its reader (exit status {code})"
    if code == -signal.SIGKILL:
        return "was stopped by the system (signal 9, SIGKILL), most likely as memory ran out"
    names = {known.value: known.name for known in signal.Signals}
    crash = f"crashed its reader (signal {-code}, {names.get(-code, 'unnamed')})"
    if memory and code == -signal.SIGABRT:  # so libraries in Rust and C++ end when memory is refused
        return f"{crash}, perhaps for needing more than {memory:g} GiB"
    return crash


def _explain(error: BaseException, memory: float | None) -> Failure:
    # A reader may have turned the library's error into one of ours.
    if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
        return Failure("memory", f"needed more than {memory:g} GiB" if memory else "needed too much memory")
    if isinstance(error, FolioError):
        return Failure("refused", str(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    message = " ".join(str(error).split())[:LONGEST]
    return Failure("bug", f"raised {type(error).__name__}{place}: {message}")


def _serve(task: Callable[[Any], Any], pipe: "connection.Connection[Any, Any]", memory: float | None) -> None:
    """A worker's life: say that it is ready, then answer until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        _die_with_parent()
        _limit(memory)
    with contextlib.suppress(EOFError, OSError):  # nothing is left to do, or no one to do it for
        pipe.send(None)
        while True:
            pipe.send_bytes(_attempt(task, pipe.recv(), memory))


def _attempt(task: Callable[[Any], Any], item: object, memory: float | None) -> bytes:
    try:
        return pickle.dumps(task(item))
    except BaseException as error:  # noqa: BLE001 - a panic in Rust, or an exit, is no Exception
        return pickle.dumps(_explain(error, memory))


def _die_with_parent() -> None:
    # A worker that hangs in a library never looks at its pipe. The sentinel is a pipe of which the
    # parent holds the other end; at its close the kernel sends SIGIO, which ends a process.
    import fcntl

    if parent := multiprocessing.parent_process():
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, os.O_ASYNC)


def _limit(memory: float | None) -> None:
    import resource

    if memory:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory * 2**30), most))
