import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from stages.likelihood import Labelled, label_losses, obstacle, pair_cost
from stages.method.lora import Lora
from stages.packing import Packing, inputs, lay_out, pack
from stages.tokens import Row
from stages.tree_attention import attend, register
from tests import tiny

PASSAGE = [1, 5, 9, 20, 33, 7]
ROWS = [
    Row("a", "p", "open", "text", [*PASSAGE, 40, 41], [7, 8, 2]),
    Row("b", "p", "open", "text", [*PASSAGE, 50], [11, 12, 13, 2]),
    Row("c", "p", "open", "text", [*PASSAGE, 50, 51], [11, 2]),
    Row("d", "q", "closed", "text", [1, 6], [11, 2]),
]
FP32 = torch.float32


class Uniform(torch.nn.Module):
    """Gives every token of a vocabulary of four the same logit."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(_attn_implementation="sdpa")
        self.head = torch.nn.Linear(1, 4)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.head

    def forward(self, input_ids: torch.Tensor, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(logits=self.head(torch.zeros(*input_ids.shape, 1)))


def separate(model: Any) -> torch.Tensor:
    """The loss of every label, each row alone, by the model's own reckoning."""
    losses = []
    for row in ROWS:
        ids = torch.tensor([row.prompt + row.completion])
        logits = model(input_ids=ids).logits[0, len(row.prompt) - 1 : -1].float()
        losses.append(
            torch.nn.functional.cross_entropy(logits, torch.tensor(row.completion), reduction="none")
        )
    return torch.cat(losses)


def load(folder: Path, attention: str, lora: bool, checkpointing: bool) -> Any:
    register()
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention)
    if lora:
        torch.manual_seed(0)
        knobs: dict[str, Any] = {
            "r": 4,
            "alpha": 8,
            "dropout": 0.0,
            "target_modules": "all-linear",
            "bias": "none",
            "modules_to_save": [],
        }
        model = Lora(name="lora", **knobs).attach(model)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # begins at nought, where its partner would get no gradient
                torch.nn.init.normal_(parameter, std=0.05)
    if checkpointing:
        model.activation_checkpointing_enable()
    return model.train()


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def test_the_loss_of_a_model_that_knows_nothing_is_ln_of_the_vocabulary_per_label() -> None:
    model = Uniform()
    rows = [Row("a", "p", "open", "text", [0, 1], [1, 2]), Row("b", "p", "open", "text", [0], [3])]
    losses = label_losses(model, Labelled(model), pack(rows, 0, 0.0, "prefix"), FP32)
    assert losses.tolist() == pytest.approx([math.log(4)] * 3)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointed"])
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("attention", ["sdpa", "eager", "folio_tree"])
def test_losses_and_gradients_are_those_of_separate_rows(
    tiny_model: Path, attention: str, lora: bool, checkpointing: bool
) -> None:
    model = load(tiny_model, attention, lora, checkpointing)
    alone = separate(model)
    alone.sum().backward()
    wanted = gradients(model)
    assert wanted
    labelled = Labelled(model)
    packings: tuple[Packing, ...] = ("prefix", "rows", "none")
    for packing in packings:
        for cost in (0.0, 10.0):
            losses = label_losses(model, labelled, pack(ROWS, 1, cost, packing), FP32)
            losses.sum().backward()
            assert torch.allclose(losses, alone, atol=1e-5), packing
            found = gradients(model)
            assert found.keys() == wanted.keys()
            assert all(torch.allclose(found[name], wanted[name], atol=1e-5) for name in wanted), packing


def test_outside_of_its_block_the_model_computes_every_logit(tiny_model: Path) -> None:
    model = load(tiny_model, "sdpa", lora=False, checkpointing=False)
    before = model(input_ids=torch.tensor([[1, 2, 3]])).logits
    labelled = Labelled(model)
    label_losses(model, labelled, pack(ROWS, 1, 0.0, "prefix"), FP32)
    assert torch.equal(model(input_ids=torch.tensor([[1, 2, 3]])).logits, before)


def test_a_batch_of_no_rows_has_no_loss_and_no_gradient(tiny_model: Path) -> None:
    model = load(tiny_model, "sdpa", lora=True, checkpointing=False)
    loss = label_losses(model, Labelled(model), pack([], 1, 0.0, "prefix"), FP32).sum()
    loss.backward()
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in gradients(model).values())


def test_an_ordinary_model_can_share(tiny_model: Path) -> None:
    for attention in ("sdpa", "eager", "folio_tree"):
        model = load(tiny_model, attention, lora=True, checkpointing=False)
        assert obstacle(model, Labelled(model), ROWS, FP32) is None


def test_rounding_to_bf16_is_no_obstacle(tiny_model: Path) -> None:
    model = load(tiny_model, "sdpa", lora=True, checkpointing=False).to(torch.bfloat16)
    assert obstacle(model, Labelled(model), ROWS, torch.bfloat16) is None


def test_a_model_that_carries_what_it_read_from_token_to_token_cannot_share(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2, state_size=8)
    model = MambaForCausalLM(config)
    assert obstacle(model, Labelled(model), ROWS, FP32)


@pytest.mark.parametrize("ignored", ["attention_mask", "position_ids"])
def test_a_model_that_looks_past_the_mask_or_counts_positions_by_itself_is_found_out(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, ignored: str
) -> None:
    model = load(tiny_model, "sdpa", lora=False, checkpointing=False)
    forward = model.forward
    monkeypatch.setattr(
        model, "forward", lambda **named: forward(**{k: v for k, v in named.items() if k != ignored})
    )
    assert obstacle(model, Labelled(model), ROWS, FP32) == "the model's attention does not keep to a mask"


def test_rows_longer_than_a_sliding_window_are_not_packed(tmp_path: Path) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = MistralConfig(vocab_size=300, num_key_value_heads=2, sliding_window=8, **shape)
    model = MistralForCausalLM(config)
    found = obstacle(model, Labelled(model), ROWS, FP32)
    assert found == "the model sees 8 tokens back, and rows are longer"


def test_the_cost_of_a_pair_is_worked_out_from_the_models_shape(tmp_path: Path) -> None:
    from transformers import AutoConfig

    model = AutoModelForCausalLM.from_pretrained(tiny.make(tmp_path / "tiny"))
    shape = AutoConfig.from_pretrained(tmp_path / "tiny")
    wide, inner = shape.hidden_size, shape.intermediate_size
    assert (wide, inner, shape.num_hidden_layers) == (64, 128, 2)
    # Per layer four products of 64 by 64 and three of 64 by 128, against 2 * 64 for a pair,
    # which counts twice.
    assert pair_cost(model) == pytest.approx(2 * (2 * 64) / (4 * 64 * 64 + 3 * 64 * 128))


def test_dropout_in_a_tree_takes_its_share_of_the_attention_and_scales_the_rest() -> None:
    layout = lay_out(inputs(ROWS), 0, 0.0, "prefix")
    mask, width = layout.masked(), layout.ids.shape[1]
    torch.manual_seed(0)
    states = [torch.randn(1, 2, width, 8) for _ in range(3)]
    module = SimpleNamespace(num_key_value_groups=1)

    def attended(share: float, value: torch.Tensor) -> torch.Tensor:
        return attend(module, states[0], states[1], value, mask, dropout=share)[0]

    # Values of one: each token's attention sums to one, and with dropout to one in the mean.
    ones = torch.ones_like(states[2])
    real = layout.parts[0][-1].stop  # behind it there is padding
    assert torch.allclose(attended(0.0, ones)[0, :real], torch.ones(real, 2, 8))
    draws = torch.stack([attended(0.5, ones)[0, :real, :, 0] for _ in range(2000)])
    assert torch.allclose(draws.mean(0), torch.ones(real, 2), atol=0.15)
    # The first token sees itself alone: all of its attention goes, or comes back twice.
    assert set(draws[:, 0].unique().tolist()) == {0.0, 2.0}
