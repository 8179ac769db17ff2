from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.answerer.local import Local
from stages.language_model import load_model, load_tokenizer, stop_tokens
from stages.ledger import Ledger
from stages.prompt import prompt_ids
from tests import tiny
from tests.forms import CHAT

QUESTIONS = [
    ("The incident response team handles the incident and reports what it did.", "Who handles it?"),
    ("The team reports.", "Who reports?"),
    ("The team reports.", "What does the team do?"),
    (tiny.TEXT[0], "Who handles the incident?"),
    ("The incident response team handles the incident and reports what it did.", "What does it report?"),
]


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose weights are large enough for its words to depend on the whole prompt."""
    import torch

    folder = tiny.make(tmp_path_factory.mktemp("talker"))
    model = load_model(folder, "float32")
    torch.manual_seed(0)
    for weights in model.parameters():
        if weights.ndim == 2:
            torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(folder)
    return folder


def local(folder: Path | None, **changes: Any) -> Local:
    def where() -> Path:
        assert folder is not None, "the model was loaded though the ledger knows every answer"
        return folder

    model = SimpleNamespace(identity="tiny", dtype="float32", folder=where)
    settings: dict[str, Any] = {"name": "local", "model": model, "batch": 2, "maximum_tokens": 8}
    watched = {"watch": "w", "code": "c"}
    return Local(**settings | watched | changes)


def alone(folder: Path, passage: str, question: str) -> str:
    """The answer token by token: no padding, no cache, no batch."""
    import torch

    tokenizer, model = load_tokenizer(folder), load_model(folder, "float32")
    ids = prompt_ids(tokenizer, CHAT, {"question": question, "passage": passage}, True)
    assert ids.count(tokenizer.bos_token_id) == 2  # one for each turn, as its template writes them
    start = len(ids)
    while len(ids) < start + 8:
        with torch.inference_mode():
            token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        if token in stop_tokens(model, tokenizer):
            break
        ids.append(token)
    text: str = tokenizer.decode(ids[start:], skip_special_tokens=True)
    return text.strip()


def test_answers_are_the_models_likeliest_words_in_the_given_order(talker: Path, ledger: Ledger) -> None:
    answers = local(talker)(QUESTIONS, ledger)
    assert answers == [(alone(talker, *question), None) for question in QUESTIONS]
    assert len(set(answers)) == len(QUESTIONS)
    again = [*reversed(QUESTIONS), QUESTIONS[0]]
    assert local(None)(again, ledger) == [*reversed(answers), answers[0]]
    assert ledger.stored == len(ledger) == len(QUESTIONS)


def test_nothing_asked_loads_nothing(ledger: Ledger) -> None:
    assert local(None)([], ledger) == []


def test_a_question_that_stands_twice_is_asked_once(talker: Path, ledger: Ledger) -> None:
    first, second = local(talker)([QUESTIONS[0]] * 2, ledger)
    assert first == second
    assert ledger.stored == 1


def test_a_run_killed_after_a_batch_asks_only_for_the_rest(
    talker: Path, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = local(talker)(QUESTIONS, ledger)
    put = Ledger.put

    def put_and_die(self: Ledger, replies: Any) -> None:
        put(self, replies)
        if replies:
            raise KeyboardInterrupt

    with Ledger(tmp_path / "other.sqlite") as other:
        monkeypatch.setattr(Ledger, "put", put_and_die)
        with pytest.raises(KeyboardInterrupt):
            local(talker)(QUESTIONS, other)
        assert len(other) == 2
        monkeypatch.setattr(Ledger, "put", put)
        assert local(talker)(QUESTIONS, other) == whole
        assert other.stored == len(QUESTIONS)


@pytest.mark.parametrize(
    "change",
    [
        {"maximum_tokens": 4},
        {"model": {"dtype": "bfloat16"}},
        {"model": {"identity": "other"}},
        {"question": ("The team reports.", "Who reports it?")},
        {"question": ("The team reported.", "Who reports?")},
    ],
)
def test_whatever_determines_an_answer_is_in_its_key(
    talker: Path, ledger: Ledger, change: dict[str, Any]
) -> None:
    local(talker)([QUESTIONS[1]], ledger)
    model = {"identity": "tiny", "dtype": "float32", "folder": lambda: talker} | change.get("model", {})
    settings = {key: change[key] for key in change.keys() & {"maximum_tokens"}}
    option = local(talker, model=SimpleNamespace(**model), **settings)
    option([change.get("question", QUESTIONS[1])], ledger)
    assert len(ledger) == 2


def test_a_batch_changes_no_answer_and_no_key(talker: Path, ledger: Ledger) -> None:
    answers = local(talker, batch=16)(QUESTIONS, ledger)
    assert local(None, batch=1)(QUESTIONS, ledger) == answers


def test_what_does_not_fit_the_context_has_no_answer(talker: Path, ledger: Ledger) -> None:
    tokenizer = load_tokenizer(talker)
    long = "The team reports. " * 200
    asked = prompt_ids(tokenizer, CHAT, {"question": "Who?", "passage": long}, True)
    room = 2048 - len(asked)  # the context is 2048 tokens
    assert room > 0
    questions = [(long, "Who?"), QUESTIONS[1]]
    fits = local(talker, maximum_tokens=room, batch=1)
    assert fits([questions[0]], ledger)[0][1] is None
    too_long = local(talker, maximum_tokens=room + 1)
    answers = too_long(questions, ledger)
    assert answers[0] == (None, "too_long")
    assert answers[1][0] is not None
    assert local(None, maximum_tokens=room + 1)(questions, ledger) == answers
