"""Prompts read once, for their references' losses and for their answers; what they share, once for all."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from stages.decode import left_pad
from stages.likelihood import Labelled, attention_mask, obstacle, pair_cost
from stages.packing import Ids, Packing, inputs, lay_out, places
from stages.tokens import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Reading(NamedTuple):
    """What a model made of a batch."""

    losses: list[list[float]]  # nats of every token of each reference
    ids: torch.Tensor  # [rows, longest prompt], padded on the left
    mask: torch.Tensor  # the same shape
    past: Any  # keys and values of all but the last token of each prompt; None where the model keeps others


class Reader:
    """Reads batches of prompts and references with one model."""

    def __init__(self, model: "PreTrainedModel", pad: int) -> None:
        self._model, self._pad = model, pad
        self._labelled, self._cost = Labelled(model), pair_cost(model)
        self._packing: Packing | None = None

    def read(self, prompts: Sequence[list[int]], references: Sequence[list[int]]) -> Reading:
        """Compute each token that the rows of the batch share once."""
        rows = [Row("", "", "", "", p, r) for p, r in zip(prompts, references, strict=True)]
        with torch.inference_mode():
            layout = lay_out(inputs(rows), self._pad, self._cost, self._how(rows))
            device = self._model.device
            index = torch.from_numpy(places(layout, rows)).to(device)
            with self._labelled.at(index):
                output = self._model(
                    input_ids=torch.from_numpy(layout.ids).to(device),
                    attention_mask=attention_mask(layout.masked().to(device), self._model),
                    position_ids=torch.from_numpy(layout.positions).to(device),
                    use_cache=True,
                )
            labels = torch.tensor([token for row in rows for token in row.completion], device=device)
            losses = cross_entropy(output.logits[0].float(), labels, reduction="none")
            ids, mask = (tensor.to(device) for tensor in left_pad(prompts, self._pad))
            past = _of_rows(
                output.past_key_values,
                [path[: len(p) - 1] for path, p in zip(layout.paths, prompts, strict=True)],
            )
        nats = iter(losses.tolist())
        return Reading([[next(nats) for _ in reference] for reference in references], ids, mask, past)

    def _how(self, rows: Sequence[Row]) -> Packing:
        if self._packing is None:
            found = obstacle(self._model, self._labelled, rows, self._model.dtype)
            self._packing = "none" if found else "prefix"
        return self._packing


def _of_rows(past: Any, paths: Sequence[Ids]) -> Any:
    """Keys and values of each row, from those of a layout that holds shared tokens once."""
    from transformers.cache_utils import DynamicLayer

    layers = getattr(past, "layers", None)
    if not layers or any(type(layer) is not DynamicLayer for layer in layers):
        return None
    longest = max(map(len, paths))
    # What pads a row may be any token: it is masked.
    padded = np.stack(
        [np.concatenate([np.zeros(longest - len(path), dtype=np.int64), path]) for path in paths]
    )
    place = torch.from_numpy(padded).to(layers[0].keys.device)
    for layer in layers:
        layer.keys, layer.values = _gathered(layer.keys, place), _gathered(layer.values, place)
    return past


def _gathered(states: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """[lines, heads, width, size] to [rows, heads, longest, size]."""
    flat = states.transpose(0, 1).flatten(1, 2)
    return flat[:, place].transpose(0, 1).contiguous()
