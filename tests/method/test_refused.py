import sys
from pathlib import Path
from typing import Any

import pytest

from stages.errors import FolioError
from tests.method.learning import QUANTISED, attach, biased_llama, layer_normed, method


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "lora",
            {"target_modules": ["q_proj", "v_porj"]},
            r"target_modules: .* no module v_porj .*mean v_proj\?",
        ),
        ("lora", {"modules_to_save": ["lm_haed"]}, r"modules_to_save: .* no module lm_haed .*mean lm_head\?"),
        ("lora", {"modules_to_save": ["rotary_emb"]}, r"no module rotary_emb that holds weights"),
        (
            "lora",
            {"target_modules": ["mlp"]},
            r"method\.target_modules=.*do not fit this model: .*not supported",
        ),
        (
            "lora",
            {"target_modules": ["q_proj"], "modules_to_save": ["layers"]},
            r"method\.modules_to_save=.*fit",
        ),
        (
            "dora",
            {"target_modules": ["q_proj", "lm_head"]},
            r"shares its weights.*in method\.modules_to_save",
        ),
        ("rslora", {"target_modules": ["embed_tokens"]}, r"model\.embed_tokens shares its weights"),
        ("qlora", {"modules_to_save": ["q_proj"]}, r"q_proj is held in integers"),
        ("int8", {"modules_to_save": ["mlp"]}, r"mlp is held in integers"),
    ],
)
def test_modules_that_are_not_there_or_cannot_learn_are_named(
    name: str, changes: dict[str, Any], words: str, tiny_model: Path
) -> None:
    with pytest.raises(FolioError, match=words):
        attach(method(name, **changes), tiny_model, "float32")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bias": "some"}, r"method\.bias='some'"),
        ({"target_modules": []}, r"method\.target_modules"),
        ({"rank": 4}, r"method\.rank is not a setting"),
        ({"modules_to_save": "lm_head"}, r"method\.modules_to_save='lm_head'"),
    ],
)
def test_values_that_no_model_could_take_fail_before_one_is_loaded(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(FolioError, match=words):
        method("lora", **changes)


def test_full_has_no_rank() -> None:
    with pytest.raises(FolioError, match=r"method\.r is not a setting"):
        method("full", r=8)


def test_shared_embeddings_that_peft_would_part_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = layer_normed(tmp_path, tiny_model)
    with pytest.raises(FolioError, match=r"embed_in shares its weights.*method=full"):
        attach(method("lora", modules_to_save=["embed_in"]), folder, "float32")


@pytest.mark.parametrize("name", QUANTISED)
def test_biases_that_bitsandbytes_would_round_are_refused(
    name: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = biased_llama(tmp_path, tiny_model)
    attach(method(name), folder, "bfloat16")
    for bias in ("all", "lora_only"):
        with pytest.raises(FolioError, match=rf"method\.bias={bias}: bitsandbytes rounds the bias of model"):
            attach(method(name, bias=bias), folder, "bfloat16")


@pytest.mark.parametrize("name", QUANTISED)
def test_bitsandbytes_that_is_missing_or_too_old_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = method(name)
    option.check()
    old = tmp_path / "bitsandbytes-0.45.3.dist-info"
    old.mkdir()
    (old / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: bitsandbytes\nVersion: 0.45.3\n", encoding="utf-8"
    )
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        with pytest.raises(FolioError, match=rf"method={name} needs a newer bitsandbytes than 0\.45\.3"):
            option.check()
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(FolioError, match=rf"method={name} needs bitsandbytes; install it"):
        option.quantization("float32")


def test_what_another_method_has_written_is_not_taken_for_ones_own(tiny_model: Path, tmp_path: Path) -> None:
    adapter, whole = tmp_path / "adapter", tmp_path / "whole"
    for folder, name in ((adapter, "lora"), (whole, "full")):
        folder.mkdir()
        option = method(name)
        option.save(attach(option, tiny_model, "float32"), folder, "base")
    with pytest.raises(FolioError, match="holds no adapter of method=lora; run `dvc repro train`"):
        method("lora").load(tiny_model, "float32", whole)
    with pytest.raises(FolioError, match="adapter cannot be loaded"):
        method("full").load(tiny_model, "float32", adapter)
