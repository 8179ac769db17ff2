from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.byte_pairs import pieces, train_tokenizer
from stages.errors import FolioError
from stages.language_model import load_tokenizer
from stages.prompt import answer_ids, prompt_ids
from tests.forms import CHAT
from tests.model.test_scratch import scratch

TEXTS = ["hug hug hug hug pug pug bun bun bun"]
# Two special tokens and 256 bytes before any pair.
BARE = 258
TRAINED = train_tokenizer(["the captain commands the ship and the crew"] * 3, scratch(vocabulary=BARE + 20))


def test_the_commonest_pairs_become_tokens_first() -> None:
    # Words with the blank before them: "hug" 1, " hug" 3, " pug" 2, " bun" 3: u meets g 6 times.
    tokenizer = train_tokenizer(TEXTS, scratch(vocabulary=BARE + 1))
    assert tokenizer.convert_ids_to_tokens(BARE) == "ug"
    assert tokenizer.tokenize("hug") == ["h", "ug"]
    assert tokenizer.convert_ids_to_tokens([0, 1]) == ["<|end|>", "<|pad|>"]


def test_too_small_a_corpus_is_refused_with_the_size_that_it_gives() -> None:
    with pytest.raises(FolioError, match=r"1 training texts give a vocabulary of (\d+) tokens") as raised:
        train_tokenizer(TEXTS, scratch(vocabulary=5000))
    reached = int(str(raised.value).partition("vocabulary of ")[2].split()[0])
    assert f"set {reached} or less" in str(raised.value)
    assert len(train_tokenizer(TEXTS, scratch(vocabulary=reached))) == reached
    # A pair that occurs twice is none where three times are asked for.
    with pytest.raises(FolioError, match="fewer than"):
        train_tokenizer(TEXTS, scratch(vocabulary=reached, minimum_frequency=3))


def test_a_word_without_end_is_learnt_from_in_pieces() -> None:
    text = "so " + "ab" * 300 + " and" + " " * 300 + "on"
    parts = list(pieces(text))
    assert "".join(parts) == text
    assert [len(part) for part in parts] == [3 + 256, 256, 88 + 4 + 256, 44 + 2]
    made = train_tokenizer(
        ["".join(chr(97 + n * n % 23) for n in range(300_000))], scratch(vocabulary=BARE + 20)
    )
    assert len(made) == BARE + 20


@given(st.text(max_size=60))
def test_no_text_is_unknown_and_every_text_comes_back(text: str) -> None:
    ids = TRAINED(text, add_special_tokens=False)["input_ids"]
    assert TRAINED.decode(ids, clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("changes", [{}, {"bos": "<|start|>"}, {"pad": None, "special": ["[good]"]}])
def test_it_can_be_asked_once_saved(tmp_path: Path, changes: dict[str, Any]) -> None:
    made = train_tokenizer(TEXTS, scratch(vocabulary=BARE + 3, **changes))
    made.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    start = changes.get("bos") or ""
    prompt = prompt_ids(tokenizer, CHAT, {"question": "Who commands?"}, with_passage=False)
    assert tokenizer.decode(prompt) == f"{start}Question: Who commands?\nAnswer: "
    assert tokenizer.decode(answer_ids(tokenizer, "She does.")) == "She does.<|end|>"
    assert tokenizer.pad_token == changes.get("pad", "<|pad|>") or tokenizer.eos_token
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Who?"}]
    turns += [{"role": "assistant", "content": "She."}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert whole == f"{start}Be kind.\nQuestion: Who?\nAnswer: She.<|end|>\n"
    # A text by itself begins as a prompt does.
    assert tokenizer.decode(tokenizer("hug")["input_ids"]) == f"{start}hug"
    if "special" in changes:
        assert len(tokenizer.tokenize("[good] hug")) == 1 + len(tokenizer.tokenize(" hug"))
        assert len(tokenizer) == BARE + 3


def test_the_same_texts_give_the_same_bytes(tmp_path: Path) -> None:
    texts = [f"the {word} of the captain" for word in ("ship", "crew", "log", "oath", "watch", "ship")]
    for place in ("one", "two"):
        train_tokenizer(texts, scratch(vocabulary=BARE + 15)).save_pretrained(tmp_path / place)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
