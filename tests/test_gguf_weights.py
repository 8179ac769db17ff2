from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stages.errors import FolioError
from stages.gguf_weights import LARGEST, check, interleaved, load, plan

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
KINDS = gguf.GGMLQuantizationType


def test_the_halves_of_each_heads_rows_alternate() -> None:
    # Two heads of width 4: entry i was turned with entry i + 2, and then stands beside it.
    rows = np.arange(8.0)[:, None]
    assert interleaved(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "mamba"}, "GGUF for llama, qwen2, gpt2, not for models of type 'mamba'"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "rope_type='default' alone, not 'llama3'"),
        ({"attention_bias": True}, "attention_bias=False alone, not True"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window=False alone"),
        ({"model_type": "gpt2", "activation_function": "relu"}, "activation_function='gelu_new' alone"),
    ],
)  # fmt: skip
def test_a_model_that_llama_cpp_computes_otherwise_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FolioError, match=r"convert_hf_to_gguf\.py models/merged") as caught:
        check(LLAMA | changes)
    assert words in str(caught.value)


def test_vectors_stay_exact_and_rows_that_fill_no_block_are_half_precise(tmp_path: Path) -> None:
    weights = {
        "model.norm.weight": torch.ones(64),
        "model.layers.0.mlp.up_proj.weight": torch.ones(3, 64),
        "model.layers.0.mlp.down_proj.weight": torch.ones(64, 3),
    }
    save_file(weights, tmp_path / "model.safetensors")
    kinds = {one.name: one.kind for one in plan(tmp_path, LLAMA, KINDS.Q8_0)}
    assert kinds == {
        "output_norm.weight": KINDS.F32,
        "blk.0.ffn_up.weight": KINDS.Q8_0,
        "blk.0.ffn_down.weight": KINDS.F16,
    }


def test_a_tensor_without_a_place_is_named(tmp_path: Path) -> None:
    save_file({"model.layers.0.own.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(FolioError, match=r"no place for this model's tensor model\.layers\.0\.own\.weight"):
        plan(tmp_path, LLAMA, KINDS.F16)


@pytest.mark.parametrize(
    ("kind", "number", "fits"),
    [
        ("F16", 65504.0, True), ("F16", 70000.0, False), ("BF16", 70000.0, True), ("F32", 1e38, True),
        ("Q8_0", 127 * 65504.0, True), ("Q8_0", 128 * 65504.0, False),
        ("F16", float("nan"), False), ("F32", float("inf"), False),
    ],
)  # fmt: skip
def test_a_number_that_a_kind_cannot_hold_is_refused(
    kind: str, number: float, fits: bool, tmp_path: Path
) -> None:
    save_file({"model.layers.0.mlp.up_proj.weight": torch.full((2, 32), number)}, tmp_path / "a.safetensors")
    (one,) = plan(tmp_path, LLAMA, KINDS[kind])
    if fits:
        back = gguf.dequantize(load(one, LLAMA), KINDS[kind])
        assert np.allclose(back, number, rtol=0.01)
    else:
        with pytest.raises(FolioError, match=r"up_proj\.weight holds a number that .* cannot"):
            load(one, LLAMA)


def test_every_kind_has_a_largest_number() -> None:
    assert set(LARGEST) == {"F32", "BF16", "F16", "Q8_0"}
