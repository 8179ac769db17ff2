from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from stages.errors import FolioError
from stages.merge import check, compare, log_probs
from stages.tokens import Row

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
