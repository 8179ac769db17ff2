"""How well a model in training answers questions that it does not train on."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stages import split
from stages.decode import Decoder
from stages.errors import FolioError
from stages.jsonl import Record
from stages.language_model import stop_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from stages.tokens import Row

# What an answer record has here beside its answer and its reference. The trainer measures the validation loss
# by itself, over every row.
HELD = {"cut_off"}


def sample(rows: Sequence["Row"], most: int) -> list["Row"]:
    """At most `most` rows, those whose ids hash lowest, the longest prompt first.

    A row that comes takes the place of one other at most, and one that goes leaves the others chosen.
    """
    chosen = sorted(rows, key=lambda row: (split.position(row.id, 0, "quiz"), row.id))[:most]
    # Similar lengths together; too large a batch fails at once, not at the end.
    return sorted(chosen, key=lambda row: (-len(row.prompt), row.id))


class Quiz:
    """Greedy answers to a sample of rows, from the prompt alone, measured against the reference.

    `metrics` are options of conf/metric; one that reads what no record has here is left out. `batch`
    questions are answered at once, each in `maximum_tokens` tokens at most.
    """

    def __init__(
        self,
        rows: Sequence["Row"],
        tokenizer: "PreTrainedTokenizerBase",
        metrics: Sequence[Any],
        most: int,
        batch: int,
        maximum_tokens: int,
    ) -> None:
        self._rows, self._tokenizer = sample(rows, most), tokenizer
        if not self._rows:
            raise FolioError("there is no validation row to ask about; raise tokenize.validation_share")
        self._metrics = [metric for metric in metrics if HELD.issuperset(getattr(metric, "reads", ()))]
        self._batch, self._maximum_tokens = batch, maximum_tokens

    def __call__(self, model: "PreTrainedModel", dtype: torch.dtype) -> dict[str, float]:
        """Return each metric's figures over the sample, `n`, its size, and `cut_off`, the unfinished answers.

        `model` is the bare or the adapted model, without what trains it on several devices. Products are
        computed in `dtype`, as in training. Nothing of the model or of any random number generator is
        different afterwards: a run with a quiz gives the weights of one without.
        """
        with undisturbed(model):
            with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
                answers = self._answers(model)
            values = {"n": float(len(answers)), "cut_off": float(sum(row["cut_off"] for row in answers))}
            for metric in self._metrics:
                values |= metric.summary(metric(answers))
        return values

    def _answers(self, model: "PreTrainedModel") -> list[Record]:
        decoder = Decoder(model, self._tokenizer.pad_token_id)
        stop = stop_tokens(model, self._tokenizer)
        answers: list[Record] = []
        for start in range(0, len(self._rows), self._batch):
            rows = self._rows[start : start + self._batch]
            replies = decoder.complete([row.prompt for row in rows], stop, self._maximum_tokens)
            for row, (reply,) in zip(rows, replies, strict=True):
                text = self._tokenizer.decode(reply.ids, skip_special_tokens=True).strip()
                answers.append({"answer": text, "reference": row.answer, "cut_off": reply.stop is None})
        return answers


@contextlib.contextmanager
def undisturbed(model: "PreTrainedModel") -> Iterator[None]:
    """Let the model generate, and give it and every random number generator back as they were."""
    modes = [(module, module.training) for module in model.modules()]
    cached = model.config.use_cache
    try:
        with _same_randomness():
            # Without dropout; nor does a model recompute activations, which would empty its cache of keys.
            model.eval()
            # The trainer takes the cache away: it has no use for one.
            model.config.use_cache = True
            yield
    finally:
        model.config.use_cache = cached
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def _same_randomness() -> Iterator[None]:
    """Set the generators of Python, NumPy and torch, on every device, back to where they were."""
    python, numpy = random.getstate(), np.random.get_state()
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if mps is not None:
            torch.mps.set_rng_state(mps)
