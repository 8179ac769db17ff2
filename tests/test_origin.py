import re

import pytest

from stages.origin import REASONS, record
from tests.imports import ROOT

ASKED = {"question": "Why?", "answer": "Because."}
READERS = ["table", "tabular", "unusable", "conversation"]


def test_the_documentation_lists_every_reason_with_its_meaning() -> None:
    text = (ROOT / "docs/sources.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\w+) \| (.*) \|$", text.partition("## Reasons")[2], re.MULTILINE)
    assert dict(listed) == REASONS


def test_the_readers_give_those_reasons_and_no_others() -> None:
    files = [ROOT / f"stages/{name}.py" for name in READERS] + list((ROOT / "stages/source").glob("*.py"))
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [reason for reason in REASONS if f'"{reason}"' not in code] == []
    assert set(re.findall(r'UnusableError\(\s*"(\w+)"', code)) <= set(REASONS)


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"answer": "So."}, True),
        ({"question": " why?\n"}, True),
        ({"options": ["A. Because."]}, True),
        ({"question": "Who?"}, False),
        ({"passage": "It is so."}, False),
        ({"history": [{"role": "system", "content": "Be brief."}]}, True),
        ({"question": "So?", "history": [{"role": "user", "content": "WHY?"}]}, True),
        ({"history": [{"role": "user", "content": "Who?"}]}, False),
    ],
)
def test_what_begins_alike_has_one_chunk_and_another_id(change: dict[str, object], is_same: bool) -> None:
    first, second = record(ASKED, "a.csv", 1), record(ASKED | change, "a.csv", 2)
    assert (first["chunk"] == second["chunk"]) is is_same
    assert first["id"] != second["id"]


def test_neither_file_nor_line_is_part_of_the_id() -> None:
    assert record(ASKED, "a.csv", 1)["id"] == record(ASKED | {"passage": None}, "b.csv", 2)["id"]


def test_questions_on_a_passage_have_its_chunk() -> None:
    one, two = (record(ASKED | {"question": text, "passage": "It is so."}, "a.csv", 1) for text in "ab")
    assert one["chunk"] == two["chunk"]
