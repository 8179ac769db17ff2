"""What each format makes of a question, with tokenizers of every kind: the text, BOS once, EOS once."""

from pathlib import Path
from typing import Any

import pytest

from stages.formatted import _make
from stages.language_model import load_tokenizer, read_tokenizer
from stages.packing import inputs
from stages.prompt import answer_ids, prompt_ids
from stages.tokens import Row
from tests import tokenizers
from tests.forms import CHAT, form

BROUGHT = ("plain", "inst", "alpaca")  # formats with a template of their own
ASKED = {"question": "Who acts?", "passage": "The team acts."}
HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
]
TEXTS = {
    "plain": (
        "Question: Who acts?\nAnswer:",
        "Passage: The team acts.\n\nQuestion: Who acts?\nAnswer:",
        "Question: Which?\nA. One\nB. Two\nAnswer:",
        "Be brief.\n\nQuestion: Hi\nAnswer: HelloEOS\n\nQuestion: Who acts?\nAnswer:",
    ),
    "inst": (
        "[INST] Who acts? [/INST]",
        "[INST] Context: The team acts.\n\nQuestion: Who acts? [/INST]",
        "[INST] Which?\n\nAnswer with one of these options:\nA. One\nB. Two [/INST]",
        "[INST] Be brief.\n\nHi [/INST] HelloEOS[INST] Who acts? [/INST]",
    ),
    "alpaca": (
        "Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\nWho acts?\n\n### Response:\n",
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n### Instruction:\n"
        "Answer the question from the passage.\n\n### Input:\nThe team acts.\n\nQuestion: Who acts?\n\n"
        "### Response:\n",
        "Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\nWhich?\n\nAnswer with one of these options:\nA. One\nB. Two\n\n"
        "### Response:\n",
        "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHelloEOS\n\n### Instruction:\nWho acts?\n\n"
        "### Response:\n",
    ),
}
RECORDS: tuple[tuple[dict[str, Any], bool], ...] = (
    (ASKED, False),
    (ASKED, True),
    ({"question": "Which?", "options": ["A. One", "B. Two"]}, False),
    (ASKED | {"history": HISTORY}, False),
)


@pytest.fixture(scope="module", params=tokenizers.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=BROUGHT)
def asked(request: pytest.FixtureRequest, kind: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A format's name, and a tokenizer that was given its template and written."""
    source, folder = (tmp_path_factory.mktemp(kind) for _ in range(2))
    tokenizers.made(kind).save_pretrained(source)
    _make(source, form(request.param), folder)
    return request.param, load_tokenizer(folder)


@pytest.mark.parametrize("case", range(len(RECORDS)))
def test_the_text_of_a_prompt_and_what_begins_and_ends_it(asked: Any, kind: str, case: int) -> None:
    name, tokenizer = asked
    record, with_passage = RECORDS[case]
    prompt = prompt_ids(tokenizer, form(name), record, with_passage)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    adds = kind in ("bos", "bos_eos", "llama")  # as the tokenizer alone would do it
    assert [at for at, token in enumerate(prompt) if token == bos and bos != eos] == [0] * adds
    text = tokenizer.decode(prompt[adds:], clean_up_tokenization_spaces=False)
    if kind == "llama":  # after each special token too it reads a space
        text = text.replace("</s> ", "</s>")
    assert text.strip() == TEXTS[name][case].replace("EOS", tokenizer.eos_token).strip()
    answers = sum(turn["role"] == "assistant" for turn in record.get("history", ()))
    assert prompt.count(eos) == answers


@pytest.mark.parametrize("answer", ["The team.", "B. Two", "(it)", "3 of 4"])
def test_an_answer_goes_on_where_the_prompt_ends_and_ends_in_eos_once(
    asked: Any, kind: str, answer: str
) -> None:
    name, tokenizer = asked
    prompt, completion = prompt_ids(tokenizer, form(name), ASKED, True), answer_ids(tokenizer, answer)
    assert completion[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in completion[:-1]
    assert tokenizer.decode(completion[:-1]).strip() == answer
    # It is what the template makes of the whole conversation, token by token.
    turns = [*form(name).turns(ASKED, True), {"role": "assistant", "content": answer}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    if not (kind == "llama" and name == "alpaca"):  # there a piece holds the line's end and the first letters
        assert [*prompt, *completion] == tokenizer(whole, add_special_tokens=False)["input_ids"]


def test_questions_on_one_passage_share_all_of_it(asked: Any) -> None:
    name, tokenizer = asked
    rows = [
        prompt_ids(tokenizer, form(name), ASKED | {"question": question}, True)
        for question in ("Who?", "What?")
    ]
    shared = next(n for n, pair in enumerate(zip(*rows, strict=False)) if len(set(pair)) > 1)
    assert "The team acts." in tokenizer.decode(rows[0][:shared])


def test_a_turn_before_is_read_once(asked: Any, kind: str) -> None:
    name, tokenizer = asked
    if (kind, name) == ("llama", "alpaca"):
        pytest.skip("the answer alone begins with a space of the tokenizer's own")
    first = prompt_ids(tokenizer, form(name), {"question": "Hi", "history": HISTORY[:1]}, False)
    second = prompt_ids(tokenizer, form(name), {"question": "Who?", "history": HISTORY}, False)
    row = [*first, *answer_ids(tokenizer, "Hello")]
    assert second[: len(row)] == row
    assert inputs([Row("a", "p", "closed", "Hello", first, row[len(first) :])])


def test_the_models_own_template_is_left_alone(tiny_model: Path) -> None:
    tokenizer = read_tokenizer(tiny_model)
    ids = prompt_ids(tokenizer, CHAT, ASKED, True)
    text = "Answer the question from the passage.\n\nPassage: The team acts.\n\nQuestion: Who acts?"
    assert tokenizer.decode(ids) == f"<s>user\n{text}</s>\n<s>assistant\n"
    assert answer_ids(tokenizer, "It is.") == [*tokenizer("It is.")["input_ids"], 1]
