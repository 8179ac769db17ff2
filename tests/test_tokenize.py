from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stages import jsonl
from stages.account import Account
from stages.errors import FolioError
from stages.language_model import load_tokenizer
from stages.prompt import answer_ids, prompt_ids
from stages.settings.tokenize import Tokenize
from stages.split import fold_of
from stages.tokenize import SOURCES, divide, read, tokenize, weighed
from tests.forms import CHAT

SETTINGS: dict[str, Any] = {
    "test_share": 0.3, "validation_share": 0.2, "context_share": 1.0,
    "maximum_tokens": 2000, "keep_share": 0.5, "seed": 0,
    "folds": 0, "fold": 0, "sources": ["pairs"], "held_out": [], "weights": {},
}  # fmt: skip


def pair(number: int, passage: int) -> dict[str, Any]:
    return {
        "id": f"{number:04}", "chunk": f"c{passage}", "passage": f"passage number {passage}",
        "question": f"What is {number}?", "answer": f"It is {number}.",
    }  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return load_tokenizer(tiny_model)


def test_no_passage_stands_on_two_sides_and_every_pair_on_one() -> None:
    pairs = [pair(n, n // 3) for n in range(300)]
    sides = divide(pairs, Tokenize(**SETTINGS), Account("rows"))
    passages = [{row["passage"] for row in side} for side in sides.values()]
    assert sum(len(side) for side in sides.values()) == 300
    assert not passages[0] & passages[1]
    assert not passages[0] & passages[2]
    assert not passages[1] & passages[2]


def test_new_pairs_move_no_old_one() -> None:
    few = divide([pair(n, n) for n in range(100)], Tokenize(**SETTINGS), Account("rows"))
    many = divide([pair(n, n) for n in range(200)], Tokenize(**SETTINGS), Account("rows"))
    for name, side in few.items():
        assert [row for row in many[name] if int(row["id"]) < 100] == side


def test_an_empty_side_is_an_error_with_the_counts() -> None:
    with pytest.raises(FolioError, match=r"tokenize\..*_share"):
        divide([pair(1, 1)], Tokenize(**SETTINGS), Account("rows"))


def of_fold(fold: int, pairs: list[dict[str, Any]], folds: int = 3) -> dict[Any, list[dict[str, Any]]]:
    return divide(pairs, Tokenize(**SETTINGS | {"folds": folds, "fold": fold}), Account("rows"))


def test_over_the_folds_every_pair_is_held_out_once_and_no_passage_leaks() -> None:
    pairs = [pair(n, n // 3) for n in range(300)]
    held_out: list[str] = []
    for fold in range(3):
        sides = of_fold(fold, pairs)
        train, validation, test = ({row["passage"] for row in side} for side in sides.values())
        assert not train & validation
        assert not (train | validation) & test
        held_out += [row["id"] for row in sides["test"]]
    assert sorted(held_out) == [row["id"] for row in pairs]


@given(kept=st.sets(st.integers(0, 199), min_size=100))
def test_a_passage_that_goes_moves_no_other_in_any_fold(kept: set[int]) -> None:
    pairs = [pair(n, n) for n in range(200)]
    for fold in range(3):
        few = of_fold(fold, [pairs[n] for n in sorted(kept)])
        for name, side in of_fold(fold, pairs).items():
            assert few[name] == [row for row in side if int(row["id"]) in kept]


def test_a_fold_without_a_pair_says_what_would_mend_it() -> None:
    pairs = [pair(n, n) for n in range(60)]
    full = {fold_of(row["passage"], 0, 50) for row in pairs}
    empty = min(set(range(50)) - full)
    with pytest.raises(FolioError, match=r"no pair fell to test \(.*lower tokenize\.folds"):
        of_fold(empty, pairs, folds=50)


@pytest.mark.parametrize(
    ("folds", "fold", "share", "sentence"),
    [
        (1, 0, 0.2, "tokenize.folds=1 would hold out everything"),
        (0, 2, 0.2, "tokenize.fold=2 chooses a fold, but tokenize.folds=0 makes none"),
        (5, 5, 0.2, "tokenize.fold=5 is none of tokenize.folds=5: they count from 0 to 4"),
        (2, 0, 0.5, "tokenize.folds=2 and tokenize.validation_share=0.5 leave nothing to train on"),
        (-1, 0, 0.2, "greater than or equal to 0"),
        (5, -1, 0.2, "greater than or equal to 0"),
    ],
)
def test_folds_that_cannot_be_are_told_in_words(folds: int, fold: int, share: float, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence.replace(".", r"\.")):
        Tokenize(**SETTINGS | {"folds": folds, "fold": fold, "validation_share": share})


def test_with_folds_the_test_share_leaves_the_room_to_train_alone() -> None:
    assert Tokenize(**SETTINGS | {"folds": 5, "test_share": 0.9}).folds == 5


def test_labels_decode_to_the_answer_and_end_in_eos(tokenizer: Any) -> None:
    account = Account("rows")
    (row,) = tokenize(tokenizer, CHAT, [pair(1, 1)], Tokenize(**SETTINGS), 1.0, account)
    assert row.completion[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(row.completion[:-1]) == "It is 1."
    assert "passage number 1" in tokenizer.decode(row.prompt)
    assert account.as_dict() == {"in": 1, "kept": 1, "dropped": {}}


def test_a_closed_row_holds_no_passage(tokenizer: Any) -> None:
    (row,) = tokenize(tokenizer, CHAT, [pair(1, 1)], Tokenize(**SETTINGS), 0.0, Account("rows"))
    assert row.context == "closed"
    assert "passage" not in tokenizer.decode(row.prompt)


def test_a_row_that_is_too_long_is_dropped_and_counted_never_cut(tokenizer: Any) -> None:
    account = Account("rows")
    settings = Tokenize(**SETTINGS | {"maximum_tokens": 16})
    assert tokenize(tokenizer, CHAT, [pair(1, 1)], settings, 1.0, account) == []
    assert account.as_dict() == {"in": 1, "kept": 0, "dropped": {"too_long": 1}}


def test_bos_stands_once_at_the_start_of_the_prompt(tokenizer: Any) -> None:
    ids = prompt_ids(tokenizer, CHAT, {"question": "Who?"}, False)
    assert ids[0] == tokenizer.bos_token_id
    assert ids[1] != tokenizer.bos_token_id
    assert tokenizer.bos_token_id not in answer_ids(tokenizer, "They.")


def test_a_template_that_writes_bos_twice_is_refused(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = "<s>" + tokenizer.chat_template
    with pytest.raises(FolioError, match="BOS twice"):
        prompt_ids(tokenizer, CHAT, {"question": "Who?"}, False)


def test_a_tokenizer_without_a_chat_template_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(FolioError, match="no chat template"):
        load_tokenizer(tmp_path)


def of(source: str, number: int, **changes: Any) -> dict[str, Any]:
    return pair(number, number) | {"source": source, "passage": None} | changes


def several(**changes: Any) -> Tokenize:
    return Tokenize(**SETTINGS | {"sources": ["qa", "exam"]} | changes)


def test_a_source_is_held_out_as_a_whole_and_what_it_asks_is_not_trained_on() -> None:
    account = Account("rows")
    exam = [of("exam", n, chunk=f"c{n + 90}") for n in range(20)]  # ten of them ask what qa asks
    sides = divide(
        [*(of("qa", n) for n in range(100)), *exam], several(held_out=["exam"], test_share=0.0), account
    )
    assert sides["test"] == exam
    assert len(sides["train"]) + len(sides["validation"]) == 90
    assert account.dropped == {"held_out_too": 10}


def test_what_a_held_out_source_shares_with_another_is_tested_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jsonl.write(SOURCES / "qa.jsonl", [of("qa", n) for n in range(40)])
    jsonl.write(SOURCES / "exam.jsonl", [of("exam", n) for n in range(5)])
    settings, account = several(held_out=["exam"], test_share=0.0), Account("rows")
    sides = divide(read(settings, account), settings, account)
    assert [row["source"] for row in sides["test"]] == ["exam"] * 5
    assert account.dropped == {"duplicate": 5}
    # Without such a source the first that holds a record counts.
    assert [row["source"] for row in read(several(), Account("rows"))] == ["qa"] * 40


def test_a_record_without_a_passage_is_asked_without_one_and_split_by_its_question(tokenizer: Any) -> None:
    settings = several(test_share=0.3)
    rows = [of("qa", n, chunk=f"c{n // 2}") for n in range(100)]
    sides = divide(rows, settings, Account("rows"))
    groups = [{row["chunk"] for row in side} for side in sides.values()]
    assert sum(map(len, groups)) == 50  # none on two sides
    (row,) = tokenize(tokenizer, CHAT, rows[:1], settings, 1.0, Account("rows"))
    assert row.context == "closed"
    assert row.prompt == prompt_ids(tokenizer, CHAT, rows[0], False)


def test_a_weight_says_how_often_the_rows_of_a_source_are_seen(tokenizer: Any) -> None:
    records = [of("qa", n) for n in range(40)] + [of("exam", n) for n in range(40, 80)]
    rows = tokenize(tokenizer, CHAT, records, several(), 1.0, Account("rows"))
    names = {record["id"]: record["source"] for record in records}
    seen = [names[row.id] for row in weighed(rows, names, several(weights={"qa": 2.0, "exam": 0.5}))]
    assert seen.count("qa") == 80
    assert 10 <= seen.count("exam") <= 30
    # A larger weight keeps the rows of a smaller one.
    less, more = ({row.id for row in weighed(rows, names, several(weights={"exam": w}))} for w in (0.3, 0.6))
    assert less < more


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"held_out": ["exams"]}, r"tokenize\.held_out names the source exams, .*did you mean exam\?"),
        ({"weights": {"q": 2.0}}, r"tokenize\.weights names the source q, which is not chosen"),
        ({"weights": {"qa": 0.0}}, "greater than 0"),
        ({"test_share": 0.0}, r"tokenize\.test_share=0 and tokenize\.held_out=\[\] hold nothing out"),
        ({"held_out": ["exam"], "folds": 3}, "both decide what is held out"),
    ],
)
def test_settings_about_sources_that_cannot_be_are_told_in_words(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        several(**changes)
