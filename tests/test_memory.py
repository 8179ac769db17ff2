from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from stages import memory
from stages.errors import FolioError
from stages.likelihood import Labelled, label_losses
from stages.memory import Batch, Estimate, Kept, Step
from stages.method.lora import Lora
from stages.packing import pack
from stages.tokens import Row

SMALL: dict[str, Any] = {
    "vocab_size": 320, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 6,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
}  # fmt: skip
STEP = Step(dtype=torch.float32, optimiser="adamw_torch_fused", checkpointing=False, accumulation=1)
GIB = 2**30


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make such small models slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def llama(**changes: Any) -> Any:
    return LlamaForCausalLM(LlamaConfig(**SMALL | changes))


def adapted(model: Any, dropout: float = 0.0) -> Any:
    knobs: dict[str, Any] = {"target_modules": "all-linear", "bias": "none", "modules_to_save": []}
    return Lora(name="lora", r=4, alpha=8, dropout=dropout, **knobs).attach(model)


def test_what_a_layer_keeps_is_what_the_formula_of_korthikanti_gives(tiny_model: Path) -> None:
    # Bytes a token in fp32; hidden 64, two heads of 32, gated MLP of 128, every weight learns.
    norms = 2 * (4 * 64 + 4 * 64 + 4)  # the input, what is scaled, the root
    inputs = 4 * 64 + 4 * 64 + 4 * 128  # of query, key and value; of gate and up; of down
    attention = 4 * 4 * 64 + 4 * 2  # query, key, value, output; the log-sum of each head
    gated = 3 * 4 * 128  # gate, its activation, up
    layer = norms + inputs + attention + gated
    last = norms // 2 + 4 * 64  # the norm before the head, and what it gives, of which the head keeps a view
    whole = 2 * layer + last + 2 * 4 * 32 + 8  # cosine and sine; the ids
    kept = memory.kept(AutoModelForCausalLM.from_pretrained(tiny_model), torch.float32)
    assert kept.token == pytest.approx(whole)
    assert kept.pair == pytest.approx(2 * 4)  # each layer keeps the mask as numbers


def saved_by_a_batch(model: Any, rows: int, length: int) -> int:
    """What a batch keeps for the backward pass, its loss left out."""
    owned = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    saved = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.ones(rows, length, dtype=torch.long)
    mask = ids.clone()
    mask[:, 0] = 0
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(input_ids=ids, attention_mask=mask, logits_to_keep=1, use_cache=False)
    return sum(t.untyped_storage().nbytes() for place, t in saved.items() if place not in owned)


@pytest.mark.parametrize("kind", ["llama", "adapters", "dropout", "eager", "qwen3", "gemma3"])
def test_three_short_rows_foretell_a_long_batch(kind: str) -> None:
    models = {
        "llama": llama,
        "adapters": lambda: adapted(llama()),
        "dropout": lambda: adapted(llama(), dropout=0.1),
        "eager": lambda: llama(attn_implementation="eager"),
        "qwen3": lambda: adapted(Qwen3ForCausalLM(Qwen3Config(**SMALL))),
        "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SMALL)),
    }
    model = models[kind]()
    kept = memory.kept(model, torch.float32)
    foretold = kept.fixed + kept.of(Batch(rows=3, length=200, targets=0))
    assert foretold == pytest.approx(saved_by_a_batch(model, 3, 200), rel=0.01)


def test_the_look_at_a_model_changes_nothing() -> None:
    model = adapted(llama(), dropout=0.1).eval()
    state = torch.get_rng_state()
    estimate = memory.estimate(model, Batch(2, 64, 8), STEP)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in model.modules())
    assert estimate.holes == round(memory.HOLES[4] * memory.kept(model, torch.float32).of(Batch(2, 64, 8)))
    assert all(parameter.grad is None for parameter in model.parameters())


def peak(model: Any, rows: int, length: int, targets: int) -> int:
    """Bytes that a forward and a backward pass allocate at most."""
    from torch.profiler import ProfilerActivity, profile

    own = targets // rows
    laid = [Row(f"{i}", "p", "closed", "text", [5] * (length + 1 - i - own), [5] * own) for i in range(rows)]
    batch, labelled = pack(laid, 0, 0.0, "none"), Labelled(model)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        label_losses(model, labelled, batch, torch.float32).sum().backward()
    events = profiled.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    level = highest = 0
    for _, change in changes:
        level += change
        highest = max(highest, level)
    return highest


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("method", ["adapters", "full"])
@pytest.mark.parametrize("shape", [(8, 128, 400), (2, 300, 16)])
def test_the_estimate_is_near_what_a_step_allocates(
    method: str, checkpointing: bool, shape: tuple[int, int, int]
) -> None:
    model = adapted(llama()) if method == "adapters" else llama()
    step = replace(STEP, checkpointing=checkpointing)
    estimate = memory.estimate(model, Batch(*shape), step)
    model.train()
    if checkpointing:
        model.activation_checkpointing_enable()
        model.enable_input_require_grads()
    highest = peak(model, *shape)
    # The profiler sees tensors, not the heap that they lie in.
    assert 0.9 * highest < estimate.further - estimate.optimiser - estimate.holes < 1.3 * highest


def test_checkpoints_keep_the_inputs_of_layers_and_one_layer() -> None:
    model, batch = llama(), Batch(rows=2, length=100, targets=10)
    kept = Kept(fixed=1000, token=6000, pair=6)
    everything = 2 * (100 * 6000 + 100**2 * 6)  # 1,320,000; a sixth of it a layer
    assert kept.of(batch) == everything
    assert memory.activation_bytes(model, kept, batch, False) == 1000 + everything + 110_000
    inputs = 6 * 64 * 4 * 200
    assert memory.activation_bytes(model, kept, batch, True) == 1000 + inputs + 220_000 + 110_000
    # With many targets the loss is the highest point instead.
    many = replace(batch, targets=1000)
    assert memory.activation_bytes(model, kept, many, True) == 1000 + inputs + 12 * 320 * 1000


def test_logits_cost_twelve_bytes_a_word_and_target() -> None:
    assert memory.logit_bytes(vocabulary=49152, targets=100) == 58_982_400


def test_weights_count_as_they_are_stored(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    frequencies = sum(buffer.numel() for buffer in model.buffers())
    # The table serves as head too: it counts once.
    table, layer = 64 * model.config.vocab_size, 4 * 64 * 64 + 3 * 64 * 128 + 2 * 64
    assert memory.weight_bytes(model) == 4 * (table + 2 * layer + 64 + frequencies)
    assert memory.weight_bytes(model.to(torch.bfloat16)) == 2 * (table + 2 * layer + 64 + frequencies)


def test_weights_in_four_bits_bring_their_scales() -> None:
    from bitsandbytes.nn import Linear4bit

    layer = Linear4bit(64, 64, bias=False, quant_type="nf4", compress_statistics=False)
    layer.weight = layer.weight.to("cpu")
    # Two weights a byte, an fp32 scale for each 64 of them, a code of sixteen.
    assert memory.weight_bytes(layer) == 64 * 64 // 2 + 4 * 64 + 4 * 16


@pytest.mark.parametrize(
    ("numbers", "dtype", "optimiser", "expected"),
    [
        (4096, torch.float32, "adamw_torch_fused", 8 * 4096),
        (4096, torch.bfloat16, "adamw_torch", 4 * 4096),
        (4096, torch.bfloat16, "paged_adamw_32bit", 8 * 4096),
        (4096, torch.float32, "paged_adamw_8bit", 2 * (4096 + 4 * 16)),
        (4097, torch.float32, "adamw_8bit", 2 * (4097 + 4 * 17)),
        (4095, torch.float32, "paged_adamw_8bit", 8 * 4095),
    ],
)
def test_adam_keeps_two_moments(numbers: int, dtype: torch.dtype, optimiser: str, expected: int) -> None:
    layer = torch.nn.Linear(numbers, 1, bias=False, dtype=dtype)
    assert memory.state_bytes(layer, optimiser) == expected
    assert memory.state_bytes(layer.requires_grad_(False), optimiser) == 0


def test_the_largest_gradient_counts_twice() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(10, 20), torch.nn.Linear(20, 30, dtype=torch.bfloat16))
    assert memory.gradient_bytes(model) == 4 * (200 + 20) + 2 * (600 + 30) + 2 * 600
    assert memory.gradient_bytes(model.requires_grad_(False)) == 0


def test_a_table_that_learns_keeps_its_moments_in_32_bits() -> None:
    assert memory.state_bytes(torch.nn.Embedding(100, 64), "paged_adamw_8bit") == 8 * 6400


ESTIMATE = Estimate(3 * GIB, GIB, 2 * GIB, 4 * GIB, holes=0, accumulates=False)


def test_gradients_take_the_place_of_activations_unless_they_accumulate() -> None:
    assert ESTIMATE.further == 6 * GIB
    assert ESTIMATE.total == 9 * GIB
    assert replace(ESTIMATE, accumulates=True).further == 7 * GIB
    assert replace(ESTIMATE, gradients=5 * GIB).further == 7 * GIB
    assert replace(ESTIMATE, holes=GIB).further == 7 * GIB


def test_a_step_that_does_not_fit_is_refused_with_what_would_help() -> None:
    memory.check(ESTIMATE, 6 * GIB, "train")
    memory.check(ESTIMATE, None, "train")
    with pytest.raises(FolioError) as failure:
        memory.check(ESTIMATE, 6 * GIB - 2**20, "train")
    assert str(failure.value) == (
        "a training step takes about 6.00 GiB at its peak (1.00 GiB for gradients, 2.00 GiB for the "
        "optimiser, 4.00 GiB for activations and logits) beside 3.00 GiB of weights, but 6.00 GiB are free; "
        "halve train.batch and double train.accumulation, set train.gradient_checkpointing=true, "
        "or method=qlora"
    )
    assert str(failure.value).startswith(memory.sentence(ESTIMATE))


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def rooms(tmp_path: Path, listing: str) -> list[int]:
    (tmp_path / "cgroup").write_text(listing)
    return list(memory._groups(tmp_path / "cgroup", tmp_path / "fs"))


def test_each_limit_above_a_process_counts_and_its_page_cache_does_not(tmp_path: Path) -> None:
    fs = tmp_path / "fs"
    group(fs / "a" / "b", memory__max="max", memory__current="5", memory__stat="inactive_file 1")
    group(fs / "a", memory__max="1000", memory__current="700", memory__stat="anon 9\ninactive_file 50")
    assert rooms(tmp_path, "0::/a/b\n") == [350]
    group(fs, memory__max="100", memory__current="200", memory__stat="inactive_file 0")
    assert rooms(tmp_path, "0::/a/b\n") == [350, 0]


def test_the_older_control_groups_are_read_too(tmp_path: Path) -> None:
    group(
        tmp_path / "fs" / "memory",
        memory__limit_in_bytes="1000",
        memory__usage_in_bytes="400",
        memory__stat="total_inactive_file 100",
    )
    # In a container the path is that of the host.
    assert rooms(tmp_path, "7:cpu:/\n4:cpuset,memory:/docker/abc\n0::/\n") == [700]
    assert rooms(tmp_path, "") == []


def test_the_memory_that_is_free_is_less_than_there_is() -> None:
    import psutil

    free = memory.available(torch.device("cpu"))
    assert free is not None
    assert 0 < free < psutil.virtual_memory().total
