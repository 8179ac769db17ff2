import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir

from stages.errors import FolioError
from stages.option import build
from tests.imports import ROOT
from tests.source.reading import reasons, source, split, write_lines

COMMIT = "0" * 40
DOCUMENTATION = ROOT / "docs/sources.md"


@pytest.mark.parametrize(
    ("path", "knobs", "sentence"),
    [
        ("q.xlsx", {}, r"source\.qa\.path=q\.xlsx ends in none of \.csv, \.tsv, \.jsonl, "),
        ("owner/name", {"revision": "main"}, r"source\.qa\.revision='main'"),
        ("name", {"revision": COMMIT}, r"source\.qa\.path=name is no name of the hub: owner/name"),
        ("owner/name", {"revision": COMMIT}, r"source\.qa\.watch must .* set it to conf/source/qa\.yaml"),
        ("q.csv", {"delimiter": ";;"}, r"source\.qa\.delimiter=';;'"),
        ("q.csv", {"megabytes": 0.0}, r"source\.qa\.megabytes=0"),
        ("q.csv", {"rows": -1}, r"source\.qa\.rows=-1"),
        ("q.csv", {"anser": "a"}, r"source\.qa\.anser is not a setting; did you mean answer\?"),
    ],
)
def test_a_wrong_setting_is_named(path: str, knobs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FolioError, match=sentence):
        source("qa", Path(path), **knobs)


@pytest.mark.parametrize(
    ("content", "megabytes", "sentence"),
    [
        (b"", 1.0, "is empty"),
        (b"question,answer\n" * 1000, 0.001, "more than its source allows"),
        ("question,answer".encode("utf-16"), 1.0, "is UTF-16"),
    ],
)
def test_a_file_is_looked_at_before_any_work(
    tmp_path: Path, content: bytes, megabytes: float, sentence: str
) -> None:
    file = tmp_path / "q.csv"
    file.write_bytes(content)
    reader = source("qa", file, megabytes=megabytes)
    for look in (reader.check, lambda: split(reader)):
        with pytest.raises(FolioError, match=rf"^source\.qa\.path: .*q\.csv .*{sentence}"):
            look()


def test_parquet_rows_become_records(tmp_path: Path) -> None:
    rows = [{"question": "Why?", "answer": "Because."}, {"question": "Who?", "answer": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet")
    reader = source("qa", tmp_path / "q.parquet")
    assert [(one["line"], one["question"]) for one in split(reader)[0]] == [(1, "Why?")]
    assert reasons(reader) == [(2, "missing_field")]


def test_a_key_may_hold_the_rows(tmp_path: Path) -> None:
    file = tmp_path / "q.json"
    file.write_text('{"data": [{"question": "Why?", "answer": "Because."}]}', encoding="utf-8")
    assert len(split(source("qa", file, under="data"))[0]) == 1


def test_a_second_file_of_a_shape_has_settings_of_its_own_as_documented(tmp_path: Path) -> None:
    conf = Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))
    documented = re.search(
        r"conf/source/faq\.yaml:\n((?:\n|    .*\n)+)", DOCUMENTATION.read_text(encoding="utf-8")
    )
    assert documented
    (conf / "source/faq.yaml").write_text(textwrap.dedent(documented[1]).lstrip(), encoding="utf-8")
    with initialize_config_dir(str(conf), version_base="1.3"):
        config = compose("config", ["source=[qa,faq]"])
    first, second = (build(config, f"source.{name}") for name in ("qa", "faq"))
    assert (first.key, first.path) == ("source.qa", "data/questions.csv")
    assert (second.key, second.path, second.watch) == ("source.faq", "data/faq.csv", "data/faq.csv")


def test_reading_a_file_imports_neither_torch_nor_datasets(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "q.jsonl", {"question": "Why?", "answer": "Because."})
    lines = (
        "import sys; from pathlib import Path; from tests.source.reading import source; "
        f"list(source('qa', Path({str(file)!r})).records()); "
        "sys.exit(bool({'torch', 'datasets', 'pyarrow', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run(
        [sys.executable, "-c", lines], cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
