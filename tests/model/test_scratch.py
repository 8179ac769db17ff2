import re
from pathlib import Path
from typing import Any

import pytest

from stages.errors import FolioError
from stages.model.scratch import Scratch

KNOBS: dict[str, Any] = {
    "name": "scratch", "stages": ["base"], "path": "models/base", "vocabulary": 300, "minimum_frequency": 2,
    "eos": "<|end|>", "pad": "<|pad|>", "bos": None, "special": [], "architecture": "gpt2", "layers": 2,
    "heads": 2, "width": 32, "context": 256, "dropout": 0.0, "seed": 0, "dtype": "float32", "method": "full",
    "maximum_tokens": 256, "watch": "models/base",
}  # fmt: skip


def scratch(**changes: Any) -> Scratch:
    return Scratch(**KNOBS | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"vocabulary": 257},
            "vocabulary=257 has no room for 256 bytes and 2 special tokens: set 258 or more",
        ),
        ({"width": 33}, "width=33 cannot be divided among model.heads=2: set a width of 34"),
        (
            {"width": 34, "architecture": "llama"},
            "odd width, which rotary positions cannot turn: set a width of 36",
        ),
        ({"context": 255}, "context=255 is less than tokenize.maximum_tokens=256"),
        ({"bos": "<|end|>"}, "model.bos and model.eos are both <|end|>"),
        ({"special": ["a"]}, "'a' is no special token"),
        ({"pad": "  "}, "'  ' is no special token"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        scratch(**changes)


def test_special_tokens_stand_once_each() -> None:
    assert scratch(pad="<|end|>", special=["[good]", "[bad]", "[good]"]).special_tokens() == [
        "<|end|>", "[good]", "[bad]",
    ]  # fmt: skip
    assert scratch(pad=None, vocabulary=257).special_tokens() == ["<|end|>"]


def test_adapters_cannot_teach_random_weights() -> None:
    scratch().check()
    with pytest.raises(FolioError, match="random weights, which method=lora would keep: add method=full"):
        scratch(method="lora").check()


def test_its_identity_is_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FolioError, match=r"models/base \(model\.path\) holds no model yet; run `dvc repro`"):
        scratch().folder()
    (tmp_path / "models/base").mkdir(parents=True)
    config = tmp_path / "models/base/config.json"
    config.write_text("{}", encoding="utf-8")
    first = scratch().identity
    assert scratch().folder() == Path("models/base")
    config.touch()  # another time, the same content
    assert scratch().identity == first
    config.write_text("{ }", encoding="utf-8")
    assert scratch().identity != first
