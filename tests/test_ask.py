"""Questions in the terminal, and the pieces in which a model answers them."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages import jsonl
from stages.artifact import write_text
from stages.ask import passage_for
from stages.compose import compose
from stages.decode import Decoder
from stages.errors import FolioError
from stages.evaluate import ask as evaluated
from stages.language_model import load_model, load_tokenizer
from stages.option import build
from stages.prompt import prompt_ids
from stages.settings.ask import Ask
from stages.speaker import Speaker, checked
from tests.forms import CHAT
from tests.imports import ROOT
from tests.test_retrieval import SHIP

QUESTION = "Who steers the ship?"


@pytest.fixture(scope="module")
def config() -> Any:
    return compose(ROOT / "conf")


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> tuple[Any, Any]:
    return load_model(tiny_model, "float32"), load_tokenizer(tiny_model)


@pytest.fixture
def settings(config: Any) -> Ask:
    return replace(build(config, "ask"), maximum_tokens=16)  # type: ignore[no-any-return]


def python(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    own = {"PYTHONPATH": str(ROOT), "FOLIO_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "stages.ask", *words],
        cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("sampling", [{}, {"do_sample": True, "temperature": 1.0, "top_k": 0}])
def test_a_stream_ends_in_what_is_completed_at_once(loaded: tuple[Any, Any], sampling: Any) -> None:
    from transformers import set_seed

    model, tokenizer = loaded
    decoder, prompt = (
        Decoder(model, tokenizer.pad_token_id),
        prompt_ids(tokenizer, CHAT, {"question": QUESTION}, False),
    )
    set_seed(3)
    [[whole]] = decoder.complete([prompt], [tokenizer.eos_token_id], 20, **sampling)
    set_seed(3)
    pieces = list(decoder.stream(prompt, [tokenizer.eos_token_id], 20, **sampling))
    assert pieces[-1] == whole
    assert [piece.ids for piece in pieces] == [whole.ids[: len(piece.ids)] for piece in pieces]
    assert len(pieces) > 1


def test_a_stream_stops_where_the_model_does(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    decoder, prompt = (
        Decoder(model, tokenizer.pad_token_id),
        prompt_ids(tokenizer, CHAT, {"question": QUESTION}, False),
    )
    *_, free = decoder.stream(prompt, [], 20)
    stop = free.ids[8]
    *_, stopped = decoder.stream(prompt, [stop], 20)
    assert stopped.stop == stop
    assert stopped.ids == free.ids[: free.ids.index(stop)]


def test_between_two_pieces_the_caller_can_compute_gradients(loaded: tuple[Any, Any]) -> None:
    import torch

    model, tokenizer = loaded
    stream = Decoder(model, tokenizer.pad_token_id).stream([5, 6, 7], [], 20)
    next(stream)
    assert not torch.is_inference_mode_enabled()


def test_an_answer_is_the_one_that_evaluation_gives(
    loaded: tuple[Any, Any], settings: Ask, config: Any
) -> None:
    model, tokenizer = loaded
    row = {
        "id": "a",
        "chunk": "c",
        "document": "d",
        "pages": [1, 1],
        "question": QUESTION,
        "answer": "The pilot.",
    }
    pair = row | {"passage": SHIP[2]["text"]}
    asking = replace(build(config, "evaluate"), maximum_tokens=16)
    answers = evaluated(model, tokenizer, CHAT, [(pair, "open"), (pair, "closed")], asking)
    speaker = Speaker(model, tokenizer, CHAT, settings)
    for passage, answer in zip((SHIP[2]["text"], None), answers, strict=True):
        *_, last = speaker.answer(QUESTION, passage)
        assert (last.text, last.tokens) == (answer["answer"], answer["tokens"])
        assert last.ended == ("cut off by ask.maximum_tokens" if answer["cut_off"] else "complete")


def test_a_drawn_answer_comes_again_and_time_ends_one(loaded: tuple[Any, Any], settings: Ask) -> None:
    warm = Speaker(*loaded, CHAT, replace(settings, temperature=1.0))
    first, again = ([*warm.answer(QUESTION, None)][-1].text for _ in range(2))
    assert first == again
    *_, last = Speaker(*loaded, CHAT, replace(settings, seconds=1e-9)).answer(QUESTION, None)
    assert last.ended == "cut off by ask.seconds"
    assert last.tokens < settings.maximum_tokens


def test_a_letter_is_shown_when_all_its_tokens_are_there_and_controls_never(
    loaded: tuple[Any, Any], settings: Ask
) -> None:
    speaker = Speaker(*loaded, CHAT, settings)
    ids = loaded[1]("ship é", add_special_tokens=False)["input_ids"]
    assert speaker._text(ids[:-1], None) == "ship "
    assert speaker._text(ids, None) == "ship é"
    controls = loaded[1]("a\x1b[2Jb\rc", add_special_tokens=False)["input_ids"]
    assert speaker._text(controls, "complete") == "a\ufffd[2Jb\nc"


def test_a_prompt_that_does_not_fit_is_refused(loaded: tuple[Any, Any], settings: Ask) -> None:
    speaker = Speaker(*loaded, CHAT, settings)
    with pytest.raises(
        FolioError, match=r"the model can read 2048; ask something shorter, or lower ask\.passages"
    ):
        next(speaker.answer(QUESTION, "ship " * 3000))


def test_a_question_is_bounded() -> None:
    assert checked("  Who? \ud800 ", 20) == "Who? ?"
    with pytest.raises(FolioError, match="the question is empty"):
        checked(" \n", 20)
    with pytest.raises(FolioError, match=r"has 21 characters; ask\.characters=20 are the most"):
        checked("x" * 21, 20)


def test_without_a_passage_none_is_looked_for(settings: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert passage_for(QUESTION, replace(settings, context="none")) is None
    assert capsys.readouterr().out == ""


def test_the_terminal_shows_the_passage_and_both_answers(tmp_path: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "models/merged")
    jsonl.write(tmp_path / "data/chunks.jsonl", SHIP)
    words = ["model=folder", f"model.path={tiny_model}", "ask.model=both", "ask.maximum_tokens=6"]
    found = python(tmp_path, "Who steers, a=b?", *words)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(f"ship.pdf, page 3\n\n{SHIP[2]['text']}\n\nbase: ")
    assert "\ntuned: " in found.stdout
    assert found.stdout.count("[6 tokens in ") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], 'folio: ask something: python -m stages.ask "question" [override ...]'),
        ([" "], "folio: the question is empty"),
        (
            ["Who?"],
            "folio: there is no tuned model in models/merged yet; run `make run` or `dvc repro merge`",
        ),
        (["Who?", "ask.passages=0"], "folio: ask.passages=0"),
        (["Who?", "ask.top_k=5"], "folio: ask: temperature=0 takes the likeliest token"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(tmp_path: Path, words: list[str], said: str) -> None:
    write_text(tmp_path / "empty", "")
    found = python(tmp_path, *words)
    assert found.returncode == 1
    assert found.stderr.startswith(said)
    assert found.stderr.count("\n") == 1
