"""How likely a model finds given completions: losses where a label is, over rows that share prefixes."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from stages.decode import left_pad
from stages.packing import inputs, pack
from stages.tree_attention import NAME

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from stages.tokens import Row

Batch = dict[str, torch.Tensor]
# How much more a query and a key cost in masked attention than their arithmetic says; it decides between
# layouts, never a result. Attention that goes row by row computes no pair in vain: there a line is free.
ATTENTION_COST = 2.0
# Mean difference (nats) that rounding alone makes between a row in a tree and the same row by itself, at
# most; by the bytes of a number. Measured: 0.027 in bf16 and 3e-6 in fp32; other positions make far more.
ROUNDING = {2: 0.25, 4: 1e-4}


class Labelled:
    """Makes a causal model compute logits only where a label is."""

    def __init__(self, model: Any) -> None:
        self._index: torch.Tensor | None = None
        model.get_output_embeddings().register_forward_pre_hook(self._select)

    def _select(self, _: Any, arguments: tuple[torch.Tensor, ...]) -> Any:
        if self._index is None:
            return None
        return (arguments[0].flatten(0, 1)[self._index][None],)

    @contextlib.contextmanager
    def at(self, index: torch.Tensor) -> Iterator[None]:
        """Within this block logits are [1, labels, vocabulary]."""
        self._index = index
        try:
            yield
        finally:
            self._index = None


def label_losses(model: Any, labelled: Labelled, batch: Batch, dtype: torch.dtype) -> torch.Tensor:
    """Return the loss (nats) of every label of a batch that `pack` laid out, shape [labels].

    Products are computed in `dtype`; where that is a half precision, what learns stays in fp32.
    """
    device = batch["labels"].device
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32), labelled.at(batch["index"]):
        logits = model(
            input_ids=batch["input_ids"],
            attention_mask=attention_mask(batch["attention_mask"], model, dtype),
            position_ids=batch["position_ids"],
            use_cache=False,
        ).logits[0]
    return cross_entropy(logits.float(), batch["labels"], reduction="none")


def attention_mask(mask: torch.Tensor, model: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A mask as the model's attention takes it: eager attention adds it to the scores, in `dtype`."""
    inner = getattr(model, "module", model)
    if mask.ndim == 2 or inner.config._attn_implementation != "eager":
        return mask
    precision = dtype or inner.dtype
    return torch.zeros_like(mask, dtype=precision).masked_fill(~mask, torch.finfo(precision).min)


def pair_cost(model: Any) -> float:
    """What a pair of tokens costs in attention, relative to a token in the linear layers."""
    config = model.config.get_text_config()
    if config._attn_implementation == NAME:
        return 0.0
    head = model.get_output_embeddings()
    # GPT-2's layers, transformers' Conv1D, call their sizes nx and nf.
    sizes = [
        (getattr(m, "in_features", None) or getattr(m, "nx", 0), getattr(m, "out_features", None) or m.nf)
        for m in model.modules()
        if m is not head and (hasattr(m, "in_features") or hasattr(m, "nx"))
    ]
    products: int = sum(before * after for before, after in sizes)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    # Two products of the heads' width for each pair and layer; a masked pair is computed as well.
    attention: int = 2 * config.num_hidden_layers * config.num_attention_heads * width
    return ATTENTION_COST * attention / max(products, 1)


def completion_logits(
    model: "PreTrainedModel", rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad: int
) -> list[torch.Tensor]:
    """Return, for each (prompt, completion), the fp32 logits [completion length, vocabulary].

    Row i predicts token i of the completion. The rows are one batch, padded on the left so that
    all completions end together and only their logits are computed.
    """
    ids, mask = left_pad([[*prompt, *completion] for prompt, completion in rows], pad)
    longest = max(len(completion) for _, completion in rows)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits = model(
            ids.to(model.device),
            attention_mask=mask.to(model.device),
            position_ids=positions.to(model.device),
            logits_to_keep=longest + 1,
        ).logits
    return [logits[i, -len(completion) - 1 : -1].float() for i, (_, completion) in enumerate(rows)]


def obstacle(model: Any, labelled: Labelled, rows: Sequence["Row"], dtype: torch.dtype) -> str | None:
    """Why rows cannot share a sequence in this model, or None.

    Some models look past an explicit mask, or carry what they read from token to token in another
    way. They are found by trying: a row is read alone, and behind one that is nearly the same, which
    it must not see.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if window and max(map(len, inputs(rows)), default=0) > window:
        return f"the model sees {window} tokens back, and rows are longer"
    if "flash" in str(config._attn_implementation):
        return f"{config._attn_implementation} takes no mask"
    try:
        alone, beside, beside_another = _tried(model, labelled, rows[0], dtype)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return f"the model takes no mask of its own ({str(error).splitlines()[0]})"
    # What is masked adds exactly nothing, so that its content cannot matter; the layout may, by rounding.
    apart = float((alone - beside).abs().mean())
    if not torch.allclose(beside, beside_another, rtol=1e-3, atol=1e-3) or apart > ROUNDING[dtype.itemsize]:
        return "the model's attention does not keep to a mask"
    return None


def _tried(
    model: Any, labelled: Labelled, row: "Row", dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The losses of a row's last tokens: alone, behind a nearly equal branch, and behind another one."""
    ids = [*row.prompt, *row.completion][:64]
    half = max(1, len(ids) // 2)
    end = ids[half + 1 :] or ids[:1]
    branch = replace(row, prompt=ids[: half + 1], completion=end)
    # Smaller first token: it is laid out before the branch.
    twin = replace(branch, prompt=[*ids[:half], max(ids[half] - 1, 0)])
    other = replace(twin, completion=[max(token - 1, 0) for token in end])
    device = model.get_input_embeddings().weight.device
    found = []
    with torch.no_grad():
        for together in ([branch], [twin, branch], [other, branch]):
            batch = {k: v.to(device) for k, v in pack(together, 0, 0.0, "prefix").items()}
            losses = label_losses(model, labelled, batch, dtype)
            found.append(losses[-len(end) :].float())
    return found[0], found[1], found[2]
