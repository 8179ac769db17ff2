from pathlib import Path
from typing import Any

import pytest

from stages.account import Account
from stages.bits import in_bits
from stages.evaluate import ask, cells, sample
from stages.language_model import load_model, load_tokenizer, stop_tokens
from stages.settings.evaluate import Evaluate
from tests.forms import CHAT


def pair(number: int) -> dict[str, Any]:
    return {
        "id": f"{number}", "chunk": f"c{number}", "document": "d.pdf", "pages": [1, 2],
        "passage": "the incident response team " * (number + 1), "question": f"What is {number}?",
        "answer": f"It is {number}.",
    }  # fmt: skip


PAIRS = [pair(n) for n in range(5)]


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> tuple[Any, Any]:
    return load_model(tiny_model, "float32"), load_tokenizer(tiny_model)


ASKED = cells(PAIRS[:4], PAIRS[4:])


def settings(batch: int, **changes: Any) -> Evaluate:
    greedy = {"bits": 16, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0, "seed": 0}
    most = {"maximum_tokens": 5, "maximum_questions": 9, "maximum_trained": 9, "control": None}
    return Evaluate(model="tuned", batch=batch, **greedy | most | changes)


def test_every_question_is_answered_open_and_closed_and_trained_ones_closed(loaded: tuple[Any, Any]) -> None:
    answers = ask(*loaded, CHAT, ASKED, settings(2))
    assert [(row["id"], row["context"]) for row in answers] == [
        *((str(n), context) for context in ("open", "closed") for n in range(4)), ("4", "trained"),
    ]  # fmt: skip
    assert {row["model"] for row in answers} == {"tuned"}
    # "It is 3." and EOS, token by token.
    tokenizer = loaded[1]
    lengths = [len(tokenizer(row["reference"])["input_ids"]) + 1 for row in answers]
    assert [len(row["token_losses"]) for row in answers] == lengths


def test_a_batch_answers_as_one_question_at_a_time_does(loaded: tuple[Any, Any]) -> None:
    together, alone = ask(*loaded, CHAT, ASKED, settings(10)), ask(*loaded, CHAT, ASKED, settings(1))
    assert [row["answer"] for row in together] == [row["answer"] for row in alone]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours["token_losses"] == pytest.approx(theirs["token_losses"], abs=1e-3)


def test_the_answer_holds_nothing_of_the_prompt(loaded: tuple[Any, Any]) -> None:
    for row in ask(*loaded, CHAT, ASKED, settings(4)):
        assert row["question"] not in row["answer"]
        assert row["cut_off"] or len(row["answer"]) < 100


def test_eos_of_tokenizer_and_generation_config_both_stop(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    assert stop_tokens(model, tokenizer) == [tokenizer.eos_token_id]


def test_a_sample_is_stable_when_questions_are_added() -> None:
    account = Account("questions")
    few = sample(PAIRS[:4], 2, account)
    assert account.as_dict() == {"in": 4, "kept": 2, "dropped": {"not_sampled": 2}}
    assert len(few) == 2
    assert sample(PAIRS, 5, Account("questions")) == PAIRS
    assert sample(list(reversed(PAIRS[:4])), 2, Account("questions")) == list(reversed(few))


def test_questions_on_one_passage_share_its_reading_and_answer_the_same(
    loaded: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = [pair(9) | {"id": f"{n}", "question": f"What is {n}?"} for n in range(6)]
    alone = ask(*loaded, CHAT, cells(shared, []), settings(1))
    seen = []
    forward = loaded[0].forward
    monkeypatch.setattr(
        loaded[0], "forward", lambda **named: (seen.append(named["input_ids"].numel()), forward(**named))[1]
    )
    together = ask(*loaded, CHAT, cells(shared, []), settings(6))
    assert [row["answer"] for row in together] == [row["answer"] for row in alone]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours["token_losses"] == pytest.approx(theirs["token_losses"], abs=1e-4)
    # The passage is read once, not six times; the questions are as long as a half of it.
    prompt = len(loaded[1](shared[0]["passage"])["input_ids"])
    assert max(seen) < 4 * prompt


def test_a_seed_draws_the_same_answers_again_and_another_draws_others(loaded: tuple[Any, Any]) -> None:
    from transformers import set_seed

    said = []
    for seed in (0, 0, 1):
        set_seed(seed)
        answers = ask(*loaded, CHAT, ASKED, settings(4, temperature=1.5))
        said.append([row["answer"] for row in answers])
    assert said[0] == said[1] != said[2]


def test_each_option_of_a_question_has_the_losses_of_its_tokens(loaded: tuple[Any, Any]) -> None:
    options = ["It is 3.", "It is 0 or more.", "No."]
    asked = cells([PAIRS[0], PAIRS[3] | {"options": options}], [])
    answers = ask(*loaded, CHAT, asked, settings(2))
    assert [row.get("options") for row in answers] == [None, options, None, options]
    # The reference is the first option.
    for row in (answers[1], answers[3]):
        assert row["option_losses"][0] == pytest.approx(row["token_losses"], abs=1e-4)
    alone = ask(
        *loaded, CHAT, cells([PAIRS[3] | {"answer": options[1], "options": options}], []), settings(1)
    )
    assert answers[1]["option_losses"][1] == pytest.approx(alone[0]["token_losses"], abs=1e-4)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_model_in_fewer_bits_answers_too(tiny_model: Path, loaded: tuple[Any, Any], bits: int) -> None:
    model = load_model(tiny_model, "float32", **in_bits(bits, "float32", "evaluate.bits"))
    assert model.get_memory_footprint() < 0.9 * loaded[0].get_memory_footprint()
    answers = ask(model, loaded[1], CHAT, ASKED, settings(4, bits=bits))
    whole = ask(*loaded, CHAT, ASKED, settings(4))
    losses = [sum(row["token_losses"]) for rows in (answers, whole) for row in rows]
    # Weights in fewer bits are other weights, and nearly the same model.
    assert losses[: len(whole)] == pytest.approx(losses[len(whole) :], rel=0.05)
    assert losses[: len(whole)] != losses[len(whole) :]
