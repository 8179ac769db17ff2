import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from stages import export, tokens
from stages.artifact import read_json
from stages.errors import FolioError
from stages.export import EXPORTED, compared, modelfile, write
from stages.language_model import load_tokenizer
from stages.tokens import Row
from tests import tiny
from tests.imports import ROOT

SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512,
}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 5000.0}
# Untied and tied, grouped heads, heads wider than width / heads, another base of the rotary embedding.
MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaForCausalLM, LlamaConfig, SIZES | {"rope_parameters": ROPE, "rms_norm_eps": 1e-3}),
    "wide": (LlamaForCausalLM, LlamaConfig, SIZES | {"head_dim": 32, "tie_word_embeddings": True}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, SIZES | {"tie_word_embeddings": True}),
    "gpt2": (GPT2LMHeadModel, GPT2Config, {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512}),
}
TEXTS = ["The incident of 2012: 17 people  or more.", "Ünïcode ひらがな\n\n x\t\ty", "I'LL don't </s> a1b22c"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each kind, all its parameters drawn, with more rows of embeddings than tokens."""
    made = {}
    for name, (cls, config, given) in MODELS.items():
        folder = tiny.make(tmp_path_factory.mktemp(name))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = {f"{mark}_token_id": getattr(tokenizer, f"{mark}_token_id") for mark in ("bos", "eos", "pad")}
        torch.manual_seed(1)
        model = cls(
            config(vocab_size=len(tokenizer) + 4, initializer_range=0.2, dtype="float32", **ids, **given)
        )
        for one in (one for one in model.parameters() if one.ndim == 1):
            torch.nn.init.normal_(one, 1.0, 0.3)
        model.save_pretrained(folder)
        load_tokenizer(folder).save_pretrained(folder)  # as merge leaves it
        made[name] = folder
    return made


def rows(folder: Path) -> list[Row]:
    tokenizer = load_tokenizer(folder)
    encoded = [tokenizer(text).input_ids for text in TEXTS]
    return [Row("a", "p", "open", "t", ids[:4], ids[4:]) for ids in encoded]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("weights", "most"), [("f32", 1e-6), ("f16", 0.01), ("bf16", 0.1), ("q8_0", 0.1)])
def test_a_file_read_back_answers_as_its_folder_does(
    name: str, weights: str, most: float, models: dict[str, Path], tmp_path: Path
) -> None:
    target = tmp_path / "model.gguf"
    count = write(models[name], target, weights)
    figures = compared(models[name], target, rows(models[name]))
    assert figures["difference"] <= most
    assert figures["tokens"] == sum(len(row.completion) for row in rows(models[name]))
    assert count == len(load_file(models[name] / "model.safetensors"))


def test_a_weight_out_of_its_place_is_noticed(models: dict[str, Path], tmp_path: Path) -> None:
    """The check has teeth: queries in transformers' own order give another model."""
    source = models["llama"]
    swapped = shutil.copytree(source, tmp_path / "swapped")
    state = load_file(swapped / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    state[name] = state[name].reshape(4, 2, 8, 64).swapaxes(1, 2).reshape(64, 64).contiguous()
    save_file(state, swapped / "model.safetensors", {"format": "pt"})
    write(swapped, tmp_path / "model.gguf", "f32")
    assert compared(source, tmp_path / "model.gguf", rows(source))["difference"] > 0.1


def test_the_file_says_what_llama_cpp_has_to_know(models: dict[str, Path], tmp_path: Path) -> None:
    write(models["llama"], tmp_path / "model.gguf", "q8_0")
    fields = {key: one.contents() for key, one in gguf.GGUFReader(tmp_path / "model.gguf").fields.items()}
    tokenizer = load_tokenizer(models["llama"])
    expected = {
        "general.architecture": "llama",
        "general.file_type": gguf.LlamaFileType.MOSTLY_Q8_0,
        "llama.block_count": 2,
        "llama.context_length": 512,
        "llama.embedding_length": 64,
        "llama.feed_forward_length": 96,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.rope.freq_base": 5000.0,
        "llama.rope.dimension_count": 16,
        "llama.vocab_size": len(tokenizer) + 4,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.eos_token_id": tokenizer.eos_token_id,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.chat_template": tiny.TEMPLATE,
    }
    assert {key: fields[key] for key in expected} == expected
    assert fields["llama.attention.layer_norm_rms_epsilon"] == np.float32(1e-3)
    kinds = fields["tokenizer.ggml.token_type"]
    assert kinds[:2] == [gguf.TokenType.CONTROL] * 2
    assert kinds[-4:] == [gguf.TokenType.UNUSED] * 4


def test_the_same_model_gives_the_same_bytes(models: dict[str, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(models["qwen2"], tmp_path / name, "q8_0")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_llama_cpp_itself_reads_the_same_tokens_and_answers_the_same(
    name: str, models: dict[str, Path], tmp_path: Path
) -> None:
    import json
    import urllib.request

    llama = pytest.importorskip("xllamacpp", reason="xllamacpp, which carries llama.cpp, is not installed")
    from stages.language_model import load_model

    write(models[name], tmp_path / "model.gguf", "f32")
    params = llama.CommonParams()
    params.model.path, params.n_ctx, params.warmup = str(tmp_path / "model.gguf"), 512, False
    params.cpuparams.n_threads, params.verbosity = 1, 0
    server = llama.Server(params)

    def ask(path: str, **body: Any) -> Any:
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(server.listening_address + path, json.dumps(body).encode(), head)  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - this process serves it
            return json.load(answer)

    tokenizer, model = load_tokenizer(models[name]), load_model(models[name], "float32")
    for text in TEXTS:
        ids = tokenizer(text).input_ids
        assert ask("/tokenize", content=text, add_special=True, parse_special=True)["tokens"] == ids
    ids = tokenizer(TEXTS[0], return_tensors="pt").input_ids
    expected = model.generate(ids, max_new_tokens=24, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    found = ask("/completion", prompt=ids[0].tolist(), n_predict=24, temperature=0, return_tokens=True)
    assert found["tokens"] == expected.tolist()[: len(found["tokens"])]
    assert len(found["tokens"]) > 0


def exported(models: dict[str, Path], root: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    shutil.copytree(models["llama"], root / "models/merged")
    monkeypatch.chdir(root)
    tokens.write(export.VALIDATION, rows(models["llama"]))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = hydra_compose("config", ["export.formats=[gguf]", *words])
    export.main.__wrapped__(config)  # type: ignore[attr-defined]


def test_the_stage_writes_the_file_and_what_ollama_needs(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(models, tmp_path, monkeypatch)
    assert {path.name for path in EXPORTED.iterdir()} == {"model-f16.gguf", "Modelfile"}
    figures = read_json(export.METRICS)
    assert figures["bytes"] == (EXPORTED / "model-f16.gguf").stat().st_size
    assert figures["difference"] < 0.01
    said = 'FROM ./model-f16.gguf\nPARAMETER temperature 0\nPARAMETER stop """</s>"""\n'
    assert (EXPORTED / "Modelfile").read_text(encoding="utf-8") == said


def test_a_file_that_answers_otherwise_is_not_kept(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        FolioError, match=r"q8_0 file's .* more than export\.tolerance=1e-06; set export\.weights"
    ):
        exported(models, tmp_path, monkeypatch, "export.weights=q8_0", "export.tolerance=1e-6")
    assert not EXPORTED.exists()
    assert not export.METRICS.exists()


def test_a_model_of_another_architecture_is_refused(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = models["llama"] / "config.json"
    whole = config.read_text(encoding="utf-8")
    broken = shutil.copytree(models["llama"], tmp_path / "model")
    (broken / "config.json").write_text(whole.replace('"llama"', '"olmo"'), encoding="utf-8")
    with pytest.raises(FolioError, match="not for models of type 'olmo'"):
        write(broken, tmp_path / "model.gguf", "f16")


def test_every_stop_is_a_parameter() -> None:
    assert modelfile("a.gguf", ["<a>", "<b>"]).splitlines()[2:] == [
        'PARAMETER stop """<a>"""',
        'PARAMETER stop """<b>"""',
    ]
