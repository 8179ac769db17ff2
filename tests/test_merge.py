from pathlib import Path

import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from stages import merge, tokens
from stages.artifact import read_json, write_json
from stages.errors import FolioError
from stages.language_model import load_model
from stages.merge import check, compare, log_probs
from stages.option import build
from stages.tokens import Row
from stages.train import ADAPTER
from tests.imports import ROOT

ROWS = [Row("a", "p", "open", "text", [3, 4, 5], [6, 7, 2]), Row("b", "p", "open", "text", [8], [9, 2])]


def test_the_difference_is_the_probability_weighted_gap_of_log_probabilities() -> None:
    before = [torch.tensor([[0.5, 0.5]]).log()]
    after = [torch.tensor([[0.25, 0.75]]).log()]
    figures = compare(before, after)
    # 0.5 |ln 0.5 - ln 0.25| + 0.5 |ln 0.5 - ln 0.75| = 0.5 (0.693147 + 0.405465) = 0.549306
    assert figures["difference"] == pytest.approx(0.549306, abs=1e-6)
    # Of the equal first pair argmax takes token 0, of the second token 1.
    assert figures["agreement"] == 0.0
    assert figures["tokens"] == 1


def test_an_adapter_merges_into_the_same_model_and_a_lost_adapter_is_noticed(tiny_model: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    adapted = get_peft_model(base, config).eval()
    before = log_probs(adapted, ROWS, pad=2)
    without = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    lost = compare(before, log_probs(without, ROWS, pad=2))
    merged = adapted.merge_and_unload()
    figures = compare(before, log_probs(merged, ROWS, pad=2))
    check(figures, tolerance=1e-4)
    with pytest.raises(FolioError, match=r"merge\.tolerance"):
        check(lost, tolerance=1e-4)


def test_a_difference_that_is_no_number_is_refused() -> None:
    with pytest.raises(FolioError):
        check({"difference": float("nan"), "agreement": 0.0, "tokens": 1}, tolerance=1.0)


@pytest.mark.parametrize(
    ("name", "words"), [("rslora", "rslora of rank 32,"), ("full", "full, learning rate")]
)
def test_the_stage_merges_what_any_method_has_written(
    name: str, words: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words_of_config = [f"method={name}", "model=folder", f"model.path={tiny_model}", "model.dtype=bfloat16"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = hydra_compose("config", words_of_config)
    monkeypatch.chdir(tmp_path)
    method = build(config, "method")
    tuned = method.attach(load_model(tiny_model, method.dtype("bfloat16")))
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter) * parameter.requires_grad)
    ADAPTER.mkdir(parents=True)
    method.save(tuned, ADAPTER, "the base")
    tokens.write(merge.VALIDATION, ROWS)
    write_json(merge.TRAINED, {"rows": 2})
    merge.main.__wrapped__(config)  # type: ignore[attr-defined]
    card = (merge.MERGED / "README.md").read_text(encoding="utf-8")
    assert words in " ".join(card.split())
    gate = read_json(merge.METRICS)
    assert 0 < gate["difference"] < 0.05
    assert gate["tokens"] == 5
    assert load_model(merge.MERGED, "auto").dtype == torch.bfloat16
