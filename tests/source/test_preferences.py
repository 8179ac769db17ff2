from pathlib import Path
from typing import Any

import pytest

from stages.prefer import pair_of
from tests.source.reading import reasons, source, split, write_lines

TEXTS = {"prompt": " Why? ", "chosen": "Because.", "rejected": "No."}
ASKED = [{"role": "user", "content": "Why?"}]
SAID = {"role": "assistant", "content": "Because."}


@pytest.mark.parametrize(
    "row",
    [
        TEXTS,
        {
            "conversations": [{"from": "human", "value": "Why?"}],
            "chosen": {"from": "gpt", "value": "Because."},
            "rejected": {"from": "gpt", "value": "No."},
        },
        {"prompt": ASKED, "chosen": [SAID]},
        {"chosen": [*ASKED, SAID], "rejected": [*ASKED, {"role": "assistant", "content": "No."}]},
    ],
    ids=["texts", "ShareGPT", "messages", "prompt in the answers"],
)
def test_the_prompt_is_the_question_and_the_chosen_answer_the_answer(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    (record,), refusals = split(source("preferences", write_lines(tmp_path / "p.jsonl", row)))
    assert not refusals
    assert (record["question"], record["answer"], record["passage"]) == ("Why?", "Because.", None)
    assert "history" not in record
    assert record["chunk"] == pair_of(TEXTS, 100)["group"]


def test_what_stood_before_the_last_turn_is_the_history(tmp_path: Path) -> None:
    row = {
        "prompt": [*ASKED, SAID, {"role": "user", "content": "So?"}],
        "system": "Be brief.",
        "chosen": "Yes.",
    }
    (record,), _ = split(source("preferences", write_lines(tmp_path / "p.jsonl", row)))
    assert (record["question"], record["answer"]) == ("So?", "Yes.")
    assert record["history"] == [{"role": "system", "content": "Be brief."}, *ASKED, SAID]
    assert record["chunk"] == pair_of(row | {"rejected": "No."}, 100)["group"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chosen": None}, "missing_field"),
        ({"prompt": None}, "wrong_type"),
        ({"prompt": " "}, "empty_prompt"),
        ({"prompt": [SAID]}, "no_question"),
        ({"prompt": [*ASKED, *ASKED]}, "wrong_order"),
        ({"prompt": [{"role": "tool", "content": "Why?"}]}, "wrong_role"),
        ({"chosen": " "}, "empty_answer"),
        ({"chosen": 7}, "wrong_type"),
        ({"chosen": ASKED}, "wrong_role"),
        ({"chosen": [{"role": "user", "content": "Who?"}, SAID]}, "answers_another_prompt"),
        ({"chosen": "x" * 20_001}, "field_too_long"),
        ({"rejected": "Not that."}, "duplicate"),
    ],
)
def test_a_bad_row_has_its_line_and_its_reason(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    file = write_lines(tmp_path / "p.jsonl", TEXTS, TEXTS | change)
    assert reasons(source("preferences", file)) == [(2, reason)]
