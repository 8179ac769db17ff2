from pathlib import Path

import pytest

from stages import tokens
from stages.errors import FolioError
from stages.tokens import Row

ROWS = [
    Row("a", "c1", "open", "text", [1, 2, 3], [4, 2]),
    Row("b", "c1", "closed", "text", [], [2_147_483_647]),  # the largest id that 32 bits hold
    Row("ü", "c2", "open", "text", [0] * 1000, [7]),
]


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], []])
def test_rows_come_back_as_they_went(tmp_path: Path, rows: list[Row]) -> None:
    tokens.write(tmp_path / "tokens" / "train.parquet", rows)
    assert tokens.read(tmp_path / "tokens" / "train.parquet") == rows
    assert [path.name for path in (tmp_path / "tokens").iterdir()] == ["train.parquet"]


def test_equal_rows_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tokens.write(tmp_path / name, ROWS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_folder_that_looks_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    tokens.write(tmp_path / "r=8" / "train.parquet", ROWS)
    assert tokens.read(tmp_path / "r=8" / "train.parquet") == ROWS


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"train\.parquet is missing or damaged; run `dvc repro tokenize`"):
        tokens.read(tmp_path / "train.parquet")


def damaged(place: str) -> bytes:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"prompt": [[1, 2]] * 100}), buffer)
    whole = buffer.getvalue()
    return {
        "empty": b"",
        "torn": whole[: len(whole) // 2],
        "no parquet": b"PAR? no, a note.",
        "a page overwritten": whole[:10] + b"x" * 20 + whole[30:],
    }[place]


@pytest.mark.parametrize("place", ["empty", "torn", "no parquet", "a page overwritten"])
def test_a_damaged_file_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "train.parquet").write_bytes(damaged(place))
    with pytest.raises(FolioError, match=r"train\.parquet is missing or damaged"):
        tokens.read(tmp_path / "train.parquet")
