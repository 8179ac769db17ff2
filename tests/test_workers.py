import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stages.errors import FolioError
from stages.workers import Failure, each
from tests.imports import ROOT

# What the workers import again at their start, through pytest's own script, else once for each.
run = partial(each, seconds=60, preload=("pytest", "stages.workers"))


def pid_of(_: object) -> int:
    return os.getpid()


def square(number: int) -> int:
    return number * number


def hang() -> None:
    ctypes.PyDLL(None).pause()  # in native code, with the interpreter's lock held


def read(path: Path) -> str:
    return path.read_text()


class BadAtArrival:
    def __reduce__(self) -> Any:
        return divide, (1, 0)


def divide(a: int, b: int) -> float:
    return a / b


def refuse() -> None:
    raise FolioError("data/raw/a.pdf needs a password; remove it first")


def refuse_for_memory() -> None:
    try:
        grow()
    except MemoryError as error:
        raise FolioError("data/raw/a.pdf cannot be read") from error


def grow() -> int:
    return len(bytearray(3 << 30))


MISHAPS: dict[str, Callable[[], object]] = {
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "null": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "unnamed": lambda: os.kill(os.getpid(), signal.SIGRTMIN + 1),
    "exit": lambda: os._exit(3),
    "leave": lambda: sys.exit("enough"),
    "hang": hang,
    "memory": grow,
    "wrapped": refuse_for_memory,
    "refused": refuse,
    "bug": lambda: divide(1, 0),
    "unpicklable": lambda: hang.__code__,
    "arrival": BadAtArrival,
    "none": lambda: None,
    "pid": os.getpid,
}


def meet(name: str) -> Any:
    return MISHAPS[name]()


def line_of(text: str) -> str:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"test_workers.py:{lines.index(text) + 1}"


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_results_come_as_they_are_ready_each_with_its_index(tmp_path: Path) -> None:
    late, early = tmp_path / "late", tmp_path / "early"
    os.mkfifo(late)  # who reads it waits for a writer
    early.write_text("early")
    with closing(run(read, [late, early, early], workers=2)) as results:
        assert [next(results), next(results)] == [(1, "early"), (2, "early")]
        late.write_text("late")
        assert list(results) == [(0, "late")]


MET = {
    "segfault": Failure("crash", "crashed its reader (signal 11, SIGSEGV)"),
    "null": Failure("crash", "crashed its reader (signal 11, SIGSEGV)"),
    "abort": Failure("crash", "crashed its reader (signal 6, SIGABRT), perhaps for needing more than 2 GiB"),
    "killed": Failure(
        "crash", "was stopped by the system (signal 9, SIGKILL), most likely as memory ran out"
    ),
    "unnamed": Failure("crash", f"crashed its reader (signal {signal.SIGRTMIN + 1}, unnamed)"),
    "exit": Failure("crash", "ended its reader (exit status 3)"),
    "hang": Failure("time", "took longer than 1.5 s"),
    "memory": Failure("memory", "needed more than 2 GiB"),
    "wrapped": Failure("memory", "needed more than 2 GiB"),
    "refused": Failure("refused", "data/raw/a.pdf needs a password; remove it first"),
    "bug": Failure("bug", f"raised ZeroDivisionError at {line_of('    return a / b')}: division by zero"),
    "none": None,
}


def test_every_mishap_is_its_own_items_alone() -> None:
    names = [*MET, "none", "none"]
    results = dict(run(meet, names, workers=2, seconds=1.5, memory=2))
    assert [results[i] for i in range(len(names))] == [*MET.values(), None, None]


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("leave", "raised SystemExit at test_workers.py"),
        ("unpicklable", "raised TypeError at workers.py"),
        ("arrival", "raised ZeroDivisionError at test_workers.py"),
    ],
)
def test_an_answer_that_cannot_be_sent_is_a_failure(name: str, begins: str) -> None:
    [(_, failure), (_, after)] = run(meet, [name, "none"], workers=1)
    assert failure.kind == "bug"
    assert failure.reason.startswith(begins)
    assert after is None


def test_a_worker_goes_on_after_a_refusal_and_is_replaced_after_a_bug() -> None:
    names = ["pid", "refused", "pid", "bug", "pid"]
    pids: list[Any] = [pid for i, pid in run(meet, names, workers=1) if names[i] == "pid"]
    assert pids[0] == pids[1] != pids[2]
    assert all(is_gone(pid) for pid in pids)


def test_a_single_worker_is_a_process_of_its_own() -> None:
    [(_, pid)] = run(pid_of, [None], workers=1)
    assert pid != os.getpid()


@pytest.mark.parametrize(("workers", "items", "most"), [(3, 500, 3), (9, 2, 2)])
def test_there_are_no_more_workers_than_asked_for_or_than_items(workers: int, items: int, most: int) -> None:
    alive = set()
    for _ in run(square, range(items), workers=workers):
        alive |= {child.pid for child in multiprocessing.active_children()}
    assert len(alive) <= most
    assert not multiprocessing.active_children()


def test_five_hundred_items_come_each_once() -> None:
    assert sorted(run(square, range(500), workers=2)) == [(i, i * i) for i in range(500)]


def test_no_items_no_workers() -> None:
    assert list(run(square, [], workers=2)) == []


def test_no_workers_is_an_error() -> None:
    with pytest.raises(ValueError, match="workers=0"):
        run(square, [1], workers=0)


class SlowToArrive:
    def __setstate__(self, state: dict[str, int]) -> None:
        time.sleep(1.2)

    def __getstate__(self) -> dict[str, int]:
        return {"some": 1}

    def __call__(self, item: int) -> int:
        return item


def test_the_start_of_a_worker_does_not_count() -> None:
    assert list(run(SlowToArrive(), [7], workers=1, seconds=0.8)) == [(0, 7)]


def test_the_time_that_the_caller_takes_does_not_count() -> None:
    results = run(square, [1, 2, 3], workers=1, seconds=0.8)
    assert next(results) == (0, 1)
    time.sleep(1.2)
    assert list(results) == [(1, 4), (2, 9)]


class NeverArrives:
    def __reduce__(self) -> Any:
        return divide, (1, 0)

    def __call__(self, item: int) -> int:
        return item


def test_a_worker_that_cannot_start_is_said_at_once() -> None:
    with pytest.raises(RuntimeError, match=r"a worker ended its reader \(exit status 1\) before"):
        list(run(NeverArrives(), [1], workers=1))


@pytest.mark.parametrize("reason", [KeyboardInterrupt, ValueError])
def test_no_worker_outlives_the_failure_of_its_caller(reason: type[BaseException]) -> None:
    pids: list[Any] = []

    def fail() -> None:
        for _ in run(meet, ["none", "hang", "hang"], workers=2):
            pids.extend(child.pid for child in multiprocessing.active_children())
            raise reason

    start = time.monotonic()
    with pytest.raises(reason):
        fail()
    assert time.monotonic() - start < 5
    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


def test_it_works_where_there_is_no_fork_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    results = dict(run(meet, ["segfault", "none"], workers=1))
    assert results == {0: MET["segfault"], 1: None}


PROGRAM = """
import ctypes, os
from stages.workers import each

def square(number):
    return number * number

def hang(number):
    os.write(1, b"at work\\n")
    ctypes.PyDLL(None).pause()

if __name__ == "__main__":
    import sys
    task = {"square": square, "hang": hang}[sys.argv[1]]
    print(sorted(each(task, range(4), workers=2, seconds=600, preload=["stages.workers"])))
"""


def start_program(folder: Path, task: str) -> subprocess.Popen[str]:
    package = folder / "jobs"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "job.py").write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "jobs.job", task],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that run in the background inherit a Ctrl-C that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads
    )


def test_a_main_module_may_hold_the_task(tmp_path: Path) -> None:
    with start_program(tmp_path, "square") as program:
        out, err = program.communicate(timeout=30)
    assert (out, err) == ("[(0, 0), (1, 1), (2, 4), (3, 9)]\n", "")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_workers_end_with_their_parent(tmp_path: Path, sign: signal.Signals) -> None:
    with start_program(tmp_path, "hang") as program:
        assert program.stdout
        assert [program.stdout.readline() for _ in range(2)] == ["at work\n"] * 2
        # Ctrl-C reaches every process of the terminal; the others the parent alone.
        (os.killpg if sign == signal.SIGINT else os.kill)(program.pid, sign)
        try:
            _, err = program.communicate(timeout=10)  # both pipes end once nobody is left to hold them
        finally:
            program.kill()
    assert program.returncode == -sign
    assert err.count("Traceback") == (sign == signal.SIGINT)
