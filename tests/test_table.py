import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import table
from stages.errors import FolioError
from stages.unusable import UnusableError

Found = list[tuple[int, Any]]


def read(rows: table.Rows) -> Found:
    """Rows with their lines; of one that cannot be read its reason."""
    return [(line, row.reason if isinstance(row, UnusableError) else row) for line, row in rows]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("table") / "t"


def delimited(path: Path, content: str | bytes, **dialect: Any) -> Found:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    standard = {"columns": None, "delimiter": ",", "quote": '"'}
    return read(table.delimited(path, **(standard | dialect)))


def test_a_row_is_numbered_by_the_line_on_which_it_begins(place: Path) -> None:
    found = delimited(place, 'a,b\r\n\n1,"one\nand\n\n""two"""\n\n2,\n')
    assert found == [(3, {"a": "1", "b": 'one\nand\n\n"two"'}), (8, {"a": "2", "b": ""})]


def test_a_dialect_and_names_may_be_given(place: Path) -> None:
    found = delimited(place, '1;a "quoted" word\n2;\'\n', columns=["n", "t"], delimiter=";", quote=None)
    assert found == [(1, {"n": "1", "t": 'a "quoted" word'}), (2, {"n": "2", "t": "'"})]


def test_a_row_with_more_or_fewer_columns_is_refused_alone(place: Path) -> None:
    found = delimited(place, "a,b\n1\n1,2,3\n1,2\n")
    assert found == [(2, "wrong_columns"), (3, "wrong_columns"), (4, {"a": "1", "b": "2"})]


@pytest.mark.parametrize(
    "bad",
    ['1,"open', '1,"open\n1,"x', '1,"closed" and more', '"1"2,3', '1,"open, with a ""word""'],
)
def test_a_wrong_quote_costs_its_line_alone(place: Path, bad: str) -> None:
    found = delimited(place, f"a,b\n{bad}\n2,two\n3,three\n")
    assert found[0] == (2, "no_csv")
    good = [row for row in found if isinstance(row[1], dict)]
    lines = bad.count("\n")
    assert good[-2:] == [(3 + lines, {"a": "2", "b": "two"}), (4 + lines, {"a": "3", "b": "three"})]
    assert len(found) == 3 + lines


def test_a_file_without_a_last_line_end_is_read_to_its_end(place: Path) -> None:
    assert delimited(place, 'a,b\n1,"open\n2,two') == [(2, "no_csv"), (3, {"a": "2", "b": "two"})]


def test_quotes_that_are_never_closed_are_not_read_again_without_end(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "REREAD", 100)
    content = "a,b\n" + 'x","y\n' * 1000
    found = delimited(place, content)
    assert {row for _, row in found} == {"no_csv"}
    assert found[-1][0] < 1002


def test_a_row_beyond_all_bounds_is_skipped_to_its_end(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "LONGEST", 20)
    found = delimited(place, 'a,b\n1,"' + "long\n" * 9 + '"\n2,two\n' + "x" * 50 + ",3\n3,three\n")
    assert found == [
        (2, "row_too_long"), (12, {"a": "2", "b": "two"}),
        (13, "row_too_long"), (14, {"a": "3", "b": "three"}),
    ]  # fmt: skip
    # A quote that nothing closes takes nothing with it.
    found = delimited(place, 'a,b\n1,"' + "long\n" * 9 + "2,two\n")
    assert (found[0], found[-1], len(found)) == ((2, "row_too_long"), (11, {"a": "2", "b": "two"}), 10)
    place.write_bytes(b'{"a": 1}\n' + b"[" * 99 + b'\n{"a": 2}')
    assert read(table.json_lines(place)) == [(1, {"a": 1}), (2, "row_too_long"), (3, {"a": 2})]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('a,"b\n1,2\n', r"the header of .*, line 1, is no CSV: unexpected end of data"),
        ("a,b, a\n1,2,3\n", r"names the column 'a' twice; rename one"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(place: Path, content: str, sentence: str) -> None:
    with pytest.raises(FolioError, match=sentence):
        delimited(place, content)


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=6))
def test_what_the_standard_library_writes_comes_back_whole(place: Path, rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    starts = []
    for row in [("a", "b"), *rows]:
        starts.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    found = delimited(place, text.getvalue())
    expected = [{"a": first, "b": second} for first, second in rows]
    assert found == list(zip(starts[1:], expected, strict=True))


@given(st.lists(st.sampled_from([b"1", b",", b'"', b"\n", b"\xff", b"\r", b"x", b"\0"]), max_size=30))
def test_any_bytes_end_in_rows_or_reasons_line_after_line(place: Path, parts: list[bytes]) -> None:
    content = b"".join(parts)
    lines = [line for line, _ in delimited(place, content, columns=["a", "b"])]
    assert lines == sorted(set(lines))
    # Without a quote every line that holds something is a row.
    if b'"' not in content and b"\r" not in content:
        assert len(lines) == len([line for line in content.split(b"\n") if line])


@given(st.lists(st.one_of(st.binary(max_size=6), st.just(b'{"a": 1}')), max_size=6))
def test_every_line_that_is_not_blank_is_a_row_or_a_reason(place: Path, parts: list[bytes]) -> None:
    content = b"\n".join(parts)
    place.write_bytes(content)
    wanted = [number for number, line in enumerate(content.removeprefix(table.BOM).split(b"\n"), 1)
              if line.decode("utf-8", "surrogateescape").strip()]  # fmt: skip
    found = read(table.json_lines(place))
    assert [line for line, _ in found] == wanted
    assert all(row == "no_json" or json.dumps(row) for _, row in found)


def test_a_document_may_be_a_list_an_object_with_a_list_or_lines(place: Path) -> None:
    place.write_text('\n [{"a": 1},\n {"a": 2}]', encoding="utf-8-sig")
    assert read(table.json_document(place, None)) == [(1, {"a": 1}), (2, {"a": 2})]
    place.write_text('{"rows": [{"a": 1}]}', encoding="utf-8")
    assert read(table.json_document(place, "rows")) == [(1, {"a": 1})]
    place.write_text('{"a": 1}\n\n{"a"\n', encoding="utf-8")
    assert read(table.json_document(place, None)) == [(1, {"a": 1}), (3, "no_json")]


@pytest.mark.parametrize(
    ("content", "key", "sentence"),
    [
        ("[1, 2", None, r"is no JSON: .*; JSON lines belong in a file named \.jsonl"),
        ("[" * 100_000, None, "is no JSON"),
        ('{\n"rows": []}', None, "holds no list of rows; set `under` to the key"),
        ('{"rows": 7}', "rows", "holds no list of rows"),
        ('{"data": []}', "rows", r"has no list under the key rows, but \['data'\]"),
    ],
)
def test_another_document_is_refused(place: Path, content: str, key: str | None, sentence: str) -> None:
    place.write_text(content, encoding="utf-8")
    with pytest.raises(FolioError, match=sentence):
        read(table.json_document(place, key))


def test_parquet_gives_its_rows_and_refuses_one_that_is_no_utf8(place: Path) -> None:
    rows = [{"a": f"{n}", "b": [n]} for n in range(table.BATCH + 2)]
    pq.write_table(pa.Table.from_pylist(rows), place)
    assert read(table.parquet(place, 1.0)) == list(enumerate(rows, start=1))
    bad = pa.array([b"good", b"caf\xe9", b"fine"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"a": bad}), place)
    assert read(table.parquet(place, 1.0)) == [(1, {"a": "good"}), (2, "wrong_encoding"), (3, {"a": "fine"})]


def test_parquet_that_is_none_or_unpacks_to_too_much_is_refused(place: Path) -> None:
    place.write_bytes(b"PAR1 and no more")
    with pytest.raises(FolioError, match="cannot be read as Parquet"):
        read(table.parquet(place, 1.0))
    pq.write_table(pa.table({"a": [f"{n:09}" for n in range(10_000)]}), place)
    with pytest.raises(FolioError, match="unpacks to 0 megabytes, more than its source allows"):
        read(table.parquet(place, 0.01))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory; name another file"),
        (b"", "is empty; name another file"),
        (b"x" * 11_000, "has 0 megabytes, more than its source allows"),
        ("a,b".encode("utf-16"), "is UTF-16; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(FolioError, match=sentence):
        table.checked(tmp_path / "t.csv", 0.01)
