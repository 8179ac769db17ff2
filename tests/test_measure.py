from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from stages.errors import FolioError
from stages.measure import in_tokens, in_words, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two  words.\n", ["Two", "words."]),
        ("naïve – yes", ["naïve", "–", "yes"]),
        ("第1章 検査ok。", ["第", "1", "章", "検", "査", "ok。"]),
        ("한국어 문장", ["한국어", "문장"]),
        (" \u2003", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert in_words(text) == len(expected)


@pytest.fixture
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel({"?": 0, "<s>": 1}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def test_tokens_are_counted_without_special_ones_and_whatever_length_the_file_asks_for(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", 1)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        count = in_tokens(str(place))
        assert [count("It is, he said, done."), count("It"), count("")] == [8, 1, 0]
        assert in_tokens(str(place)) is count  # loaded once


@pytest.mark.parametrize("content", ["", "{}", '{"model": 3}'])
def test_a_file_that_holds_no_tokenizer_is_named(content: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(FolioError, match=r"broken\.json \(splitter\.tokenizer\) holds no tokenizer"):
        in_tokens(str(file))


@pytest.mark.parametrize("name", ["missing/tokenizer.json", "/no/such/folder", "two words"])
def test_what_cannot_be_a_hub_id_is_never_asked_for(name: str) -> None:
    with pytest.raises(FolioError, match=f"splitter.tokenizer={name} is no file; name a tokenizer.json"):
        in_tokens(name)


def test_a_hub_id_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FolioError, match="check the name and the network, or set null to count words"):
        in_tokens("nobody/nothing@v1")
