import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from stages import jsonl, prefer
from stages.account import Account
from stages.artifact import read_json
from stages.errors import FolioError
from stages.prefer import UnusableError, divide, joined, pair_of, read, usable
from stages.settings.prefer import Prefer
from tests.forms import CHAT, form
from tests.imports import ROOT

SETTINGS: dict[str, Any] = {"stages": [],
    "file": "pairs.json", "megabytes": 1.0, "characters": 100, "validation_share": 0.3,
    "keep_share": 0.5, "seed": 0,
}  # fmt: skip
TEXTS = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}
ASKED = [{"role": "user", "content": "Why?"}]


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


@pytest.mark.parametrize(
    "row",
    [
        TEXTS,
        {
            "conversations": [{"from": "human", "value": "Why?"}],
            "chosen": {"from": "gpt", "value": "Because."},
            "rejected": {"from": "gpt", "value": "No."},
        },
        {"prompt": ASKED, "chosen": [said("assistant", "Because.")], "rejected": [said("assistant", "No.")]},
        {"prompt": "Why?", "chosen": [*ASKED, said("assistant", "Because.")], "rejected": " No.\n"},
        {
            "chosen": [*ASKED, said("assistant", "Because.")],
            "rejected": [*ASKED, said("assistant", "No.")],
        },
        {"prompt": [said("system", " "), *ASKED], "chosen": "Because.", "rejected": "No."},
    ],
    ids=["texts", "ShareGPT", "messages", "prompt repeated", "prompt in the answers", "blank system prompt"],
)
def test_every_shape_becomes_the_same_record(row: dict[str, Any]) -> None:
    pair = pair_of(row, 100)
    assert pair == pair_of(TEXTS, 100)
    assert list(pair) == ["id", "group", "messages", "question", "chosen", "rejected", "source", "scores"]
    assert (pair["messages"], pair["chosen"], pair["rejected"]) == (ASKED, "Because.", "No.")
    assert (pair["source"], pair["scores"]) == ("file", None)


def test_a_system_prompt_stands_first_wherever_the_row_keeps_it() -> None:
    turns = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Why?"}]
    beside = pair_of(TEXTS | {"system": "Be brief."}, 100)
    within = pair_of({"conversations": turns, "chosen": "Because.", "rejected": "No."}, 100)
    assert beside == within
    assert [message["role"] for message in within["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rejected": None}, "missing_field"),
        ({"chosen": {"from": "gpt"}}, "missing_field"),
        ({"prompt": 7}, "wrong_type"),
        ({"chosen": 7}, "wrong_type"),
        ({"prompt": [7]}, "wrong_type"),
        ({"prompt": [said("tool", "Why?")]}, "wrong_role"),
        ({"chosen": said("user", "Because.")}, "wrong_role"),
        ({"chosen": " \n"}, "empty_answer"),
        ({"rejected": []}, "empty_answer"),
        ({"prompt": " "}, "empty_prompt"),
        ({"prompt": []}, "no_question"),
        ({"prompt": [*ASKED, said("assistant", "So.")]}, "no_question"),
        ({"rejected": "Because. "}, "chosen_equals_rejected"),
        ({"chosen": "x" * 97}, "too_long"),
        ({"chosen": "\ud800"}, "no_unicode"),
        ({"chosen": [said("user", "Who?"), said("assistant", "I.")]}, "answers_another_prompt"),
    ],
)
def test_a_bad_row_has_its_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableError, match=f"^{reason}$"):
        pair_of(TEXTS | change, 100)


def test_every_row_is_kept_or_counted() -> None:
    account = Account("rows")
    rows = [TEXTS, TEXTS, [], {"chosen": "a"}, UnusableError("no_json")]
    assert len(list(usable(rows, CHAT, 100, account))) == 1
    assert account.as_dict() == {
        "in": 5, "kept": 1, "dropped": {"duplicate": 1, "wrong_type": 1, "missing_field": 1, "no_json": 1},
    }  # fmt: skip


LABELLED = {"prompt": "Why?", "completion": "Because.", "label": True}


def test_a_labelled_row_has_one_answer() -> None:
    good, bad = (pair_of(LABELLED | {"label": label}, 100) for label in (True, False))
    assert (good["chosen"], good["rejected"]) == ("Because.", None)
    assert (bad["chosen"], bad["rejected"]) == (None, "Because.")
    assert good["messages"] == bad["messages"] == ASKED
    turns = {"prompt": ASKED, "completion": [said("assistant", "Because.")], "label": True}
    assert pair_of(turns, 100) == good


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": None}, "missing_field"),
        ({"label": 1}, "wrong_type"),
        ({"label": "true"}, "wrong_type"),
        ({"completion": None}, "missing_field"),
        ({"completion": " "}, "empty_answer"),
        ({"completion": "x" * 97}, "too_long"),
    ],
)
def test_a_bad_labelled_row_has_its_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableError, match=f"^{reason}$"):
        pair_of(LABELLED | change, 100)


def test_labelled_answers_to_a_prompt_become_pairs_and_the_others_stay_alone() -> None:
    said_of = [("Because.", True), ("No.", False), ("So.", True), ("No.", False), ("So.", False)]
    rows = [LABELLED | {"completion": text, "label": label} for text, label in said_of]
    rows.append({"prompt": "Who?", "completion": "I.", "label": False})
    account = Account("rows")
    found = list(joined(usable([TEXTS | {"prompt": "How?"}, *rows], CHAT, 100, account)))
    assert [(pair["chosen"], pair["rejected"]) for pair in found] == [
        ("Because.", "No."), ("Because.", "No."), ("So.", None), (None, "I."),
    ]  # fmt: skip
    assert found[1] == pair_of(TEXTS, 100)
    assert account.as_dict() == {
        "in": 7, "kept": 5, "dropped": {"duplicate": 1, "labelled_both_ways": 1}
    }  # fmt: skip


def test_a_list_and_lines_hold_the_same_rows(tmp_path: Path) -> None:
    rows = [TEXTS, {"prompt": "line\u2028separator"}]
    whole, lines = tmp_path / "list.json", tmp_path / "lines.json"
    whole.write_text(json.dumps(rows), encoding="utf-8-sig")
    lines.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    assert list(read(whole, 1)) == list(read(lines, 1)) == rows


@pytest.mark.parametrize(
    ("content", "megabytes", "sentence"),
    [
        (None, 1, "cannot be read"),
        (b"[" * 100_000, 1, "is none"),
        (b'["\xff"]', 1, "no UTF-8"),
        (b"{}" * 10, 1e-5, "has more than prefer.megabytes=1e-05"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, megabytes: float, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "pairs.json").write_bytes(content)
    with pytest.raises(FolioError, match=sentence):
        list(read(tmp_path / "pairs.json", megabytes))


def test_a_line_that_is_no_json_is_one_bad_row(tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text('{"a": 1}\n{"a"\n', encoding="utf-8")
    first, second = read(tmp_path / "pairs.json", 1)
    assert first == {"a": 1}
    assert str(second) == "no_json"


def many(count: int) -> list[dict[str, Any]]:
    # Two pairs on each question, which is spelt in two ways.
    questions = [f"Why {n // 2}?" if n % 2 else f"WHY  {n // 2}?" for n in range(count)]
    return [{"prompt": q, "chosen": f"Because {n}.", "rejected": "No."} for n, q in enumerate(questions)]


def test_no_prompt_is_on_both_sides_and_a_new_pair_moves_no_other() -> None:
    pairs = [pair_of(row, 100) for row in many(60)]
    sides = divide(pairs, Prefer(**SETTINGS))
    assert len(sides["train"]) + len(sides["validation"]) == 60
    groups = [{pair["group"] for pair in side} for side in sides.values()]
    assert not groups[0] & groups[1]
    assert len(groups[0]) + len(groups[1]) == 30
    fewer = divide(pairs[:40], Prefer(**SETTINGS))
    assert all(pair in sides[name] for name, side in fewer.items() for pair in side)


def test_a_side_without_a_pair_is_refused() -> None:
    with pytest.raises(FolioError, match=r"no preference pair fell to .*prefer.validation_share"):
        divide([pair_of(TEXTS, 100)], Prefer(**SETTINGS))


def test_the_stage_writes_both_sides_and_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.json").write_text(json.dumps([*many(60), {}]), encoding="utf-8")
    held_out = {"chunk": "of a passage", "question": many(60)[7]["prompt"].upper()}
    jsonl.write(Path("data/trained.jsonl"), [])
    jsonl.write(Path("data/test.jsonl"), [held_out, {"chunk": "another", "question": "Who?"}])
    words = ["prefer.file=pairs.json", "prefer.validation_share=0.3"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", words)
    prefer.main.__wrapped__(config)  # type: ignore[attr-defined]
    sides = {
        name: list(jsonl.read(Path(f"data/preferences/{name}.jsonl"))) for name in ("train", "validation")
    }
    figures = read_json(Path("metrics/prefer.json"))
    assert figures["rows"] == {"in": 61, "kept": 58, "dropped": {"held_out": 2, "missing_field": 1}}
    assert {name: len(side) for name, side in sides.items()} == {
        name: figures[name] for name in ("train", "validation")
    }
    assert figures["groups"] == 29
    assert "3 of 61 rows are left out: 2 held_out, 1 missing_field" in capsys.readouterr().out


def test_prompts_are_worded_as_the_format_asks_and_keep_their_ids() -> None:
    (chat,) = usable([TEXTS], CHAT, 100, Account("rows"))
    assert chat == pair_of(TEXTS, 100)
    (plain,) = usable([TEXTS], form("plain"), 100, Account("rows"))
    assert plain == chat | {"messages": [said("user", "Question: Why?")]}
    account = Account("rows")
    rows = [TEXTS, TEXTS | {"prompt": "Why [bad]?"}]
    (control,) = usable(rows, form("control"), 100, account)
    assert control["messages"] == [said("user", "[good]Why?")]
    assert account.dropped == {"refused_by_the_format": 1}


def test_nothing_is_validated_on_a_prompt_whose_answer_training_has_learnt() -> None:
    pairs = [pair_of(TEXTS | {"prompt": f"Why {n}?"}, 100) for n in range(200)]
    learnt = {pair["group"] for pair in pairs[:140]}
    sides = divide(pairs, Prefer(**SETTINGS | {"validation_share": 0.2}), learnt)
    assert len(sides["train"]) + len(sides["validation"]) == 200
    assert not learnt & {pair["group"] for pair in sides["validation"]}
    assert 25 <= len(sides["validation"]) <= 55  # of 60 that are not learnt, about 0.2 of all
