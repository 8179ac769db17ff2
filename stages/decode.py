"""Batched generation: left-padded prompts, a shared prefix computed once, log-probabilities kept."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stages.errors import FolioError
from stages.language_model import context

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


# Tokens after which finished rows leave a batch: they would cost as much as the others until the last ends.
SEGMENT = 6
# A model's own generation config would otherwise bend both greedy answers and samples.
NEUTRAL = {"do_sample": False, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "num_beams": 1}


@dataclass(frozen=True)
class Completion:
    """Generated ids up to the stop token, that token (None: cut off), and their mean log-probability."""

    ids: list[int]
    stop: int | None
    mean_log_prob: float


def left_pad(rows: Sequence[Sequence[int]], pad: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return ids and mask, both [rows, longest], with the padding in front."""
    import torch

    longest = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


class Decoder:
    """Completes prompts that all begin with the same `prefix` ids (which may be empty)."""

    def __init__(self, model: "PreTrainedModel", pad: int, prefix: Sequence[int] = ()) -> None:
        self._model, self._pad, self._prefix = model, pad, list(prefix)
        self._context = context(model)
        self._prefix_cache = self._prefill(self._prefix) if prefix else None

    def _prefill(self, ids: list[int]) -> Any:
        import torch

        with torch.inference_mode():
            row = torch.tensor([ids], device=self._model.device)
            return self._model(row, use_cache=True, logits_to_keep=1).past_key_values

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        stop: Sequence[int],
        max_new_tokens: int,
        samples: int = 1,
        **sampling: Any,
    ) -> list[list[Completion]]:
        """Return `samples` completions of every prompt; `prompts` exclude the prefix.

        Each prompt is read once, whatever the number of samples, and what is finished leaves the batch
        every SEGMENT tokens. `sampling` goes to transformers' `generate`; decoding is greedy unless it
        says `do_sample`. A completion is cut off where the model's context ends.

        Raises:
            FolioError: a prompt is longer than the model's context.
        """
        import torch

        ids, mask = self._padded(prompts)
        with torch.inference_mode():
            past = self._read(ids, mask)
        return self.go_on((ids, mask, past), stop, max_new_tokens, samples, **sampling)

    def go_on(
        self,
        read: tuple["torch.Tensor", "torch.Tensor", Any],
        stop: Sequence[int],
        max_new_tokens: int,
        samples: int = 1,
        **sampling: Any,
    ) -> list[list[Completion]]:
        """Complete prompts that were `read`: ids, mask [rows, longest], a cache without the last column."""
        import torch

        from stages.growing import growing

        ids, mask, past = read
        growing(past)
        drafts = [_Draft() for _ in range(len(ids) * samples)]
        with torch.inference_mode():
            if samples > 1:
                past.batch_repeat_interleave(samples)
                ids, mask = ids.repeat_interleave(samples, 0), mask.repeat_interleave(samples, 0)
            # What each row may write: a model that learns positions has none behind its context.
            rooms = [min(max_new_tokens, self._context - length) for length in mask.sum(1).tolist()]
            going, written = list(range(len(drafts))), 0
            while True:
                left = [at for at, i in enumerate(going) if drafts[i].stop is None and rooms[i] > written]
                if not left:
                    break
                if len(left) < len(going):
                    rows = torch.tensor(left, device=ids.device)
                    ids, mask, going = ids[rows], mask[rows], [going[at] for at in left]
                    past.batch_select_indices(rows)
                count = min(SEGMENT, int(min(rooms[i] for i in going)) - written)
                ids, mask, past, log_probs = self._go_on(ids, mask, past, count, stop, sampling)
                new = ids[:, -log_probs.shape[1] :].tolist()
                written += log_probs.shape[1]
                for i, row, chosen in zip(going, new, log_probs.tolist(), strict=True):
                    drafts[i].add(row, chosen, stop)
        done = [draft.completion() for draft in drafts]
        return [done[i : i + samples] for i in range(0, len(done), samples)]

    def stream(
        self, prompt: Sequence[int], stop: Sequence[int], max_new_tokens: int, **sampling: Any
    ) -> Iterator[Completion]:
        """Yield a prompt's completion so far every SEGMENT tokens, the last one whole.

        It is the one that `complete` gives. Nothing is computed between two pieces, so that a caller who
        wants no more stops the model; each piece may be asked for by another thread.
        """
        import torch

        from stages.growing import growing

        with torch.inference_mode():
            ids, mask = self._padded([prompt])
            past = growing(self._read(ids, mask))
        draft, room = _Draft(), max_new_tokens
        while draft.stop is None and room > 0:
            # Entered for each piece: the mode is a thread's, and would be the caller's between them.
            with torch.inference_mode():
                ids, mask, past, log_probs = self._go_on(ids, mask, past, min(room, SEGMENT), stop, sampling)
            new = log_probs.shape[1]
            room -= new
            draft.add(ids[0, -new:].tolist(), log_probs[0].tolist(), stop)
            yield draft.completion()

    def _go_on(
        self,
        ids: "torch.Tensor",
        mask: "torch.Tensor",
        past: Any,
        count: int,
        stop: Sequence[int],
        sampling: dict[str, Any],
    ) -> tuple["torch.Tensor", "torch.Tensor", Any, "torch.Tensor"]:
        """Up to `count` tokens more: ids, mask and cache with them, their log-probabilities [rows, new]."""
        import torch

        recorder = _Recorder()
        output = self._model.generate(
            ids,
            attention_mask=mask,
            past_key_values=past,
            max_new_tokens=count,
            eos_token_id=list(stop),
            pad_token_id=self._pad,
            logits_processor=[recorder],
            return_dict_in_generate=True,
            **(NEUTRAL | sampling),
        )
        new = output.sequences[:, ids.shape[1] :]
        mask = torch.cat([mask, torch.ones_like(new)], dim=1)
        return output.sequences, mask, output.past_key_values, recorder.log_probs(new)

    def _padded(self, prompts: Sequence[Sequence[int]]) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Ids and mask of the prefix and each prompt, on the model's device."""
        import torch

        longest = len(self._prefix) + max(map(len, prompts))
        if longest > self._context:
            raise FolioError(
                f"a prompt has {longest} tokens, more than the {self._context} that the model sees; "
                "choose a model with a longer context, or shorter chunks (splitter.maximum)"
            )
        ids, mask = left_pad(prompts, self._pad)
        shared = torch.tensor(self._prefix, dtype=torch.long).expand(len(prompts), -1)
        ids, mask = torch.cat([shared, ids], dim=1), torch.cat([torch.ones_like(shared), mask], dim=1)
        return ids.to(self._model.device), mask.to(self._model.device)

    def score(self, rows: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> list[list[float]]:
        """Return the mean natural-log probability of each of the completions of every prompt.

        Each prompt is read once, whatever the number of its completions.
        """
        import torch

        ids, mask = self._padded([prompt for prompt, _ in rows])
        owner = torch.tensor([i for i, (_, many) in enumerate(rows) for _ in many], device=mask.device)
        completions = [list(completion) for _, many in rows for completion in many]
        with torch.inference_mode():
            past = self._read(ids, mask)
            past.batch_select_indices(owner)
            scores = iter(self._after(past, ids[owner, -1:], mask[owner], completions))
        return [[next(scores) for _ in many] for _, many in rows]

    def _after(
        self, past: Any, last: "torch.Tensor", mask: "torch.Tensor", completions: list[list[int]]
    ) -> list[float]:
        """Mean log-probabilities of completions behind a cache that lacks the `last` token of each prompt."""
        import torch

        longest = max(map(len, completions))
        padded = [row + [self._pad] * (longest - len(row)) for row in completions]
        new = torch.tensor(padded, device=last.device)
        mask = torch.cat([mask, torch.ones_like(new)], dim=1)
        logits = self._model(
            torch.cat([last, new[:, :-1]], dim=1),
            attention_mask=mask[:, :-1],
            position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, -longest - 1 : -1],
            past_key_values=past,
        ).logits
        means = []
        for row, completion in zip(logits, completions, strict=True):
            chosen = torch.tensor(completion, device=row.device)
            loss = torch.nn.functional.cross_entropy(row[: len(completion)].float(), chosen)
            means.append(-float(loss))
        return means

    def _past(self, rows: int) -> Any:
        """A key-value cache that holds the prefix for so many rows."""
        from transformers import DynamicCache

        if self._prefix_cache is None:
            return DynamicCache(config=self._model.config)
        past = copy.deepcopy(self._prefix_cache)
        past.batch_repeat_interleave(rows)
        return past

    def _read(self, ids: "torch.Tensor", mask: "torch.Tensor") -> Any:
        """Key-value cache over all but the last column, which `generate` reads itself."""
        start, past = len(self._prefix), self._past(len(ids))
        if ids.shape[1] - 1 > start:
            positions = (mask.cumsum(1) - 1).clamp(min=0)
            self._model(
                ids[:, start:-1],
                attention_mask=mask[:, :-1],
                position_ids=positions[:, start:-1],
                past_key_values=past,
                logits_to_keep=1,
            )
        return past


@dataclass
class _Draft:
    """What has been generated of a completion so far."""

    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    stop: int | None = None

    def add(self, row: Sequence[int], log_probs: Sequence[float], stop: Sequence[int]) -> None:
        """Take tokens on up to the stop token; behind it there is padding."""
        length = next((i for i, token in enumerate(row) if token in stop), len(row))
        self.ids += row[:length]
        self.log_probs += log_probs[:length]
        self.stop = row[length] if length < len(row) else None

    def completion(self) -> Completion:
        mean = math.fsum(self.log_probs) / len(self.log_probs) if self.log_probs else 0.0
        return Completion([*self.ids], self.stop, mean)


class _Recorder:
    """A logits processor that changes nothing and keeps each chosen token's log-probability."""

    def __init__(self) -> None:
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None
        self._steps: list[torch.Tensor] = []

    def __call__(self, ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        self._keep(ids[:, -1:])
        self._last = scores, scores.float().logsumexp(dim=-1, keepdim=True)
        return scores

    def _keep(self, chosen: "torch.Tensor") -> None:
        if self._last is not None:
            scores, total = self._last
            self._steps.append(scores.gather(1, chosen).float() - total)

    def log_probs(self, new: "torch.Tensor") -> "torch.Tensor":
        """Those of the generated tokens, both [rows, tokens]; after the last one no call comes."""
        import torch

        self._keep(new[:, -1:])
        return torch.cat(self._steps, dim=1)
