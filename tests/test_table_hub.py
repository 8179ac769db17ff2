import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub import COMMIT, serving
from tests.imports import ROOT

ROWS = [{"question": "Why?", "answer": "Because."}, {"question": "Who?", "answer": None}]
# The library reads the hub's address when it is imported.
SCRIPT = """\
import json, sys
from stages import table
from stages.errors import FolioError
def read(*arguments):
    try:
        return list(table.hub(*arguments))
    except FolioError as error:
        return str(error)
print(json.dumps([read(*arguments) for arguments in json.loads(sys.argv[1])]))
"""
ABSENT = (
    "the data set owner/name is not on this machine and the hub cannot be reached; check the network, "
    "or name a file"
)
GOOD = ("owner/name", COMMIT, None, "train")


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), content)
    with serving(content.getvalue()) as address:
        yield address


def read(
    folder: Path, address: str, *sets: tuple[str, str, str | None, str], offline: str = "0"
) -> list[object]:
    """What a process of its own makes of the data sets, each a list of rows or a sentence."""
    own = {"HF_ENDPOINT": address, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": offline, "NO_PROXY": "*"}
    environment = os.environ | own | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, json.dumps(sets)]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    found: list[object] = json.loads(done.stdout)
    return found


def test_rows_come_from_the_commit_and_then_from_this_machine(tmp_path: Path, hub: str) -> None:
    expected = [[1, ROWS[0]], [2, ROWS[1]]]
    assert read(tmp_path, hub, GOOD) == [expected]
    others = [(*GOOD[:1], "1" * 40, *GOOD[2:]), (*GOOD[:2], "other", "train")]
    again, *sentences = read(tmp_path, "http://127.0.0.1:9", GOOD, *others, offline="1")
    assert again == expected
    # What was kept is of that commit: for another it is no substitute.
    assert sentences == [ABSENT, ABSENT]


def test_a_data_set_that_cannot_be_had_is_one_sentence(tmp_path: Path, hub: str) -> None:
    (tmp_path / "own/folder").mkdir(parents=True)
    gated, none, commit, split, configuration, script, folder = read(
        tmp_path, hub,
        ("owner/gated", *GOOD[1:]), ("owner/none", *GOOD[1:]), ("owner/name", "1" * 40, None, "train"),
        (*GOOD[:3], "tset"), ("owner/name", COMMIT, "other", "train"), ("owner/scripted", *GOOD[1:]),
        ("own/folder", *GOOD[1:]),
    )  # fmt: skip
    for sentence, name in ((gated, "owner/gated"), (none, "owner/none"), (commit, "owner/name")):
        assert str(sentence).startswith(f"the hub gives no data set {name} at ")
        assert str(sentence).endswith("accept its terms there and set HF_TOKEN")
    assert """cannot be read: 'Unknown split "tset".""" in str(split)
    assert "BuilderConfig 'other' not found" in str(configuration)
    assert "Dataset scripts are no longer supported" in str(script)
    assert "is on this machine too" in str(folder)


def test_without_a_network_the_sentence_says_so(tmp_path: Path) -> None:
    (sentence,) = read(tmp_path, "http://127.0.0.1:9", GOOD, offline="1")
    assert sentence == ABSENT
