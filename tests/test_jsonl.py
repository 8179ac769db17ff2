import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages import jsonl
from stages.errors import FolioError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates are no text


@given(st.lists(st.dictionaries(TEXT, TEXT | st.integers() | st.lists(st.booleans()))))
@settings(
    max_examples=50,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example writes the file anew
)
def test_records_come_back_as_they_went(tmp_path: Path, records: list[jsonl.Record]) -> None:
    assert jsonl.write(tmp_path / "a.jsonl", records) == len(records)
    assert list(jsonl.read(tmp_path / "a.jsonl")) == records


def test_a_record_is_one_line_of_utf8(tmp_path: Path) -> None:
    # Every character at which some reader would end a line.
    records = [{"text": "a\nb\r\nc\u2028d\x85e"}, {"text": "Prüfung – 検査"}]
    jsonl.write(tmp_path / "a.jsonl", records)
    lines = (tmp_path / "a.jsonl").read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == records
    assert "Prüfung – 検査" in lines[1]


def test_a_failure_midway_keeps_the_old_file(tmp_path: Path) -> None:
    def records() -> Iterator[jsonl.Record]:
        yield {"id": "new"}
        raise RuntimeError("midway")

    jsonl.write(tmp_path / "a.jsonl", [{"id": "old"}])
    with pytest.raises(RuntimeError, match="midway"):
        jsonl.write(tmp_path / "a.jsonl", records())
    assert list(jsonl.read(tmp_path / "a.jsonl")) == [{"id": "old"}]
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        jsonl.write(tmp_path / "a.jsonl", [{"score": math.nan}])
    assert not (tmp_path / "a.jsonl").exists()


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"a\.jsonl is missing; run `dvc repro`"):
        list(jsonl.read(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"id": ', "line 2 is no JSON"),
        (b"", "line 2 is no JSON"),
        (b"[1]", "line 2 is not a JSON object"),
        (b"null", "line 2 is not a JSON object"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes, fault: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"id": 1}\n' + line + b"\n")
    records = jsonl.read(tmp_path / "a.jsonl")
    assert next(records) == {"id": 1}
    with pytest.raises(FolioError, match=fault):
        next(records)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "Pr\xfcfung"}\n')
    with pytest.raises(FolioError, match=r"a\.jsonl"):
        list(jsonl.read(tmp_path / "a.jsonl"))
