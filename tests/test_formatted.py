from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from stages.errors import FolioError
from stages.formatted import formatted, grow, new_tokens
from stages.language_model import load_model, load_tokenizer, read_tokenizer
from tests.forms import CHAT, form
from tests.method.learning import biased_llama, gpt2, with_tokenizer

CONTROL = form("control")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIO_CACHE", str(tmp_path / "cache"))
    return tmp_path


def model(folder: Path, identity: str = "tiny") -> Any:
    return SimpleNamespace(identity=identity, dtype="float32", folder=lambda: folder)


def test_the_models_own_template_and_no_tokens_are_the_model_itself(tiny_model: Path) -> None:
    source = model(tiny_model)
    assert formatted(CHAT, source) is source
    assert new_tokens(source) == []


def test_a_template_alone_is_given_to_the_tokenizer_and_the_weights_are_not_copied(
    tiny_model: Path, place: Path
) -> None:
    mode = (tiny_model / "model.safetensors").stat().st_mode
    source = formatted(form("plain"), model(tiny_model))
    folder = source.folder()
    assert (source.identity, source.dtype, new_tokens(source)) == ("tiny", "float32", [])
    assert (folder / "model.safetensors").resolve() == (tiny_model / "model.safetensors").resolve()
    assert (tiny_model / "model.safetensors").stat().st_mode == mode
    assert load_tokenizer(folder).chat_template == form("plain").template
    assert read_tokenizer(tiny_model).chat_template != form("plain").template
    assert torch.equal(logits(load_model(folder, "float32")), logits(load_model(tiny_model, "float32")))
    made = folder.stat().st_mtime_ns
    assert source.folder().stat().st_mtime_ns == made
    assert formatted(form("inst"), model(tiny_model)).folder() != folder


def logits(loaded: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = loaded(input_ids=torch.tensor([[3, 4, 5]])).logits
    return found


def test_a_model_that_has_been_moved_is_found_again(tiny_model: Path, place: Path) -> None:
    moved = place / "a"
    with_tokenizer(AutoModelForCausalLM.from_pretrained(tiny_model), moved, tiny_model)
    formatted(form("plain"), model(moved)).folder()
    moved = moved.rename(place / "b")
    folder = formatted(form("plain"), model(moved)).folder()
    assert (folder / "model.safetensors").resolve() == moved / "model.safetensors"


def test_a_template_that_writes_bos_itself_gets_no_second_one(tiny_model: Path, place: Path) -> None:
    from tests import tokenizers

    tokenizers.made("bos").save_pretrained(place / "bos")
    own = form("plain", template="{{ bos_token }}{{ messages[-1]['content'] }}")
    template = load_tokenizer(formatted(own, model(place / "bos", "bos")).folder()).chat_template
    assert template == own.template
    brought = formatted(form("plain"), model(place / "bos", "bos")).folder()
    assert load_tokenizer(brought).chat_template == "{{- bos_token -}}" + str(form("plain").template)


@pytest.mark.parametrize("make", [None, gpt2, biased_llama])
def test_tokens_get_the_mean_row_and_no_other_row_changes(make: Any, tiny_model: Path, place: Path) -> None:
    folder = make(place / "model", tiny_model) if make else tiny_model
    source = formatted(CONTROL, model(folder, str(make)))
    assert new_tokens(source) == [300, 301]
    old, new = load_model(folder, "float32"), load_model(source.folder(), "float32")
    assert new.config.vocab_size == 302
    for before, after in zip(tables(old), tables(new), strict=True):
        assert torch.equal(after[:300], before)
        assert after[300:] == pytest.approx(before.mean(0).expand(2, -1), abs=1e-6)
    tied = old.get_input_embeddings().weight is old.get_output_embeddings().weight
    assert (new.get_input_embeddings().weight is new.get_output_embeddings().weight) == tied
    assert torch.equal(logits(new)[..., :300], logits(old))
    tokenizer = load_tokenizer(source.folder())
    assert tokenizer.convert_tokens_to_ids(["[good]", "[bad]"]) == [300, 301]
    assert tokenizer("a[good]b", add_special_tokens=False)["input_ids"].count(300) == 1
    assert tokenizer.decode([300, 40, 301], skip_special_tokens=True) == tokenizer.decode([40])


def tables(loaded: Any) -> list[torch.Tensor]:
    return [loaded.get_input_embeddings().weight.detach(), loaded.get_output_embeddings().weight.detach()]


def test_the_same_rows_come_out_each_time(
    tiny_model: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = formatted(CONTROL, model(tiny_model)).folder()
    monkeypatch.setenv("FOLIO_CACHE", str(place / "other"))
    torch.manual_seed(9)
    again = formatted(CONTROL, model(tiny_model)).folder()
    assert first != again
    for path in first.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_a_token_that_the_tokenizer_has_is_not_added_again(tiny_model: Path) -> None:
    source = formatted(form("chat", tokens=["</s>", "<new>"]), model(tiny_model))
    assert new_tokens(source) == [300]
    assert new_tokens(formatted(form("chat", tokens=["</s>"]), model(tiny_model))) == []


def test_rows_that_only_pad_the_embeddings_are_used_and_do_not_count(tiny_model: Path) -> None:
    loaded = load_model(tiny_model, "float32")
    with torch.no_grad():
        loaded.get_input_embeddings().weight[290:] = 1e6
    mean = loaded.get_input_embeddings().weight[:290].mean(0)
    table = grow(loaded, [290, 291], known=290).get_input_embeddings().weight.detach()
    assert len(table) == 300
    assert table[290:292] == pytest.approx(mean.detach().expand(2, -1), abs=1e-6)
    assert table[292].eq(1e6).all()


def test_the_bias_of_an_output_grows_too(tiny_model: Path) -> None:
    from transformers import PhiConfig, PhiForCausalLM

    config = PhiConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    made = PhiForCausalLM(config)
    with torch.no_grad():
        made.lm_head.bias.copy_(torch.arange(8.0))
    assert grow(made, [8], known=8).lm_head.bias.tolist() == [*range(8), 3.5]


def test_a_model_that_cannot_be_read_is_named(tiny_model: Path, place: Path) -> None:
    read_tokenizer(tiny_model).save_pretrained(place / "bare")
    with pytest.raises(FolioError, match=r"the model in .*bare cannot be loaded"):
        formatted(CONTROL, model(place / "bare")).folder()
    assert [path.suffix for path in (place / "cache/formatted").iterdir()] == [".lock"]
