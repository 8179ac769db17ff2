import subprocess
import sys
from pathlib import Path

import pytest

from stages.errors import FolioError
from stages.ledger import Ledger
from tests.imports import ROOT
from tests.refusals import full_disk, locked

WRITER = """
import sys
from pathlib import Path
from stages.ledger import Ledger

name = sys.argv[2]
with Ledger(Path(sys.argv[1])) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(100):
        ledger.put({f"{name}{n}": n, f"both{n}": name})
"""


def test_what_was_put_comes_back_and_the_rest_is_absent(tmp_path: Path) -> None:
    replies = {"a": [["Was prüft er?", -0.25]], "b": {"text": "x", "none": None}, "c": []}
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put(replies)
        assert ledger.get(["c", "missing", "a", "b"]) == replies
        assert ledger.get([]) == {}
        assert len(ledger) == 3


def test_a_ledger_that_is_opened_again_knows_it_all(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put({"a": 1})
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put({"b": 2})
        assert ledger.get(["a", "b"]) == {"a": 1, "b": 2}


def test_the_first_reply_stays(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put({"a": "first"})
        ledger.put({"a": "second", "b": "new"})
        assert ledger.get(["a", "b"]) == {"a": "first", "b": "new"}


def test_two_open_ledgers_see_each_others_replies(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as one, Ledger(tmp_path / "ledger.sqlite") as other:
        one.put({"a": 1})
        other.put({"b": 2})
        assert one.get(["a", "b"]) == other.get(["a", "b"]) == {"a": 1, "b": 2}


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("left", "right")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    with Ledger(path) as ledger:
        # 100 keys of the one, 100 of the other, 100 that both wrote
        assert len(ledger) == 300
        own = {f"{name}{n}": n for name in ("left", "right") for n in range(100)}
        assert ledger.get(list(own)) == own
        assert set(ledger.get([f"both{n}" for n in range(100)]).values()) <= {"left", "right"}


def test_a_full_disk_stores_nothing_of_the_batch_and_is_named(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put({"old": 1})
        batch = {f"new{n}": "x" * 1000 for n in range(100)}
        with full_disk(), pytest.raises(FolioError, match=r"could not write the ledger .*ledger\.sqlite"):
            ledger.put(batch)
        assert ledger.get(["old", *batch]) == {"old": 1}
        # With room again, the same ledger goes on.
        ledger.put(batch)
        assert len(ledger) == 101


def test_a_reply_that_is_no_json_stores_nothing_of_the_batch(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with pytest.raises(TypeError, match="not JSON serializable"):
            ledger.put({"a": 1, "b": object()})
        assert len(ledger) == 0


def test_a_folder_that_refuses_is_named(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(FolioError, match=r"the ledger .*ledger\.sqlite cannot be opened"),
    ):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_path_that_is_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match="cannot be opened"):
        Ledger(tmp_path)


def test_a_file_that_is_no_ledger_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"these are notes, not a database\n" * 100)
    with pytest.raises(FolioError, match=r"ledger\.sqlite cannot be opened.*move it away"):
        Ledger(path)
    assert path.read_bytes().startswith(b"these are notes")


def test_a_damaged_ledger_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.put({f"key{n}": "x" * 1000 for n in range(50)})
    content = path.read_bytes()
    # The first two pages (4096 bytes each), with the schema, stay whole; the rest is torn.
    path.write_bytes(content[:8192].ljust(len(content), b"\xff"))
    with Ledger(path) as ledger, pytest.raises(FolioError, match=r"ledger\.sqlite"):
        ledger.get([f"key{n}" for n in range(50)])
