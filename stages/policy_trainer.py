"""trl's GRPO and RLOO over token ids: answers by `Decoder`, held-out questions, runs that resume."""

import contextlib
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer
from trl.trainer.utils import use_adapter

from stages import cache
from stages.decode import Completion, Decoder
from stages.language_model import stop_tokens
from stages.policy_prompts import Prompt
from stages.policy_reward import Scored, figures, scored
from stages.quiz import undisturbed
from stages.settings.reinforce import Reinforce
from stages.sft import Resumable
from stages.worth import Reward

# The adapter as it was at the start, which trl keeps beside the one that learns under this name.
REFERENCE = "ref"


class Rounds(Sampler[int]):
    """Which prompts are answered when: shuffled anew each time that all were asked, the whole run at once.

    trl's own sampler forgets on resuming how often it had shuffled.
    """

    def __init__(self, count: int, settings: Reinforce) -> None:
        self._count, self._settings = count, settings
        self._rounds = -(-settings.steps // settings.iterations)

    def __len__(self) -> int:
        settings = self._settings
        return self._rounds * settings.answers() * self._reads()

    def _reads(self) -> int:
        """How often trl reads the rows of a round: for each part of each update from its answers."""
        return self._settings.iterations * (self._settings.answers() // self._settings.batch)

    def __iter__(self) -> Iterator[int]:
        settings, chance = self._settings, random.Random(self._settings.seed)  # noqa: S311
        waiting: list[int] = []
        for _ in range(self._rounds):
            while len(waiting) < settings.prompts:
                waiting += chance.sample(range(self._count), self._count)
            own, waiting = waiting[: settings.prompts], waiting[settings.prompts :]
            for _ in range(self._reads()):
                for i in own:
                    yield from [i] * settings.samples


def keep_reference(model: Any) -> None:
    """Keep the adapter as it is beside the one that learns, as trl does where the loss looks at it."""
    model.add_adapter(REFERENCE, model.peft_config["default"])
    for name, weight in model.named_parameters():
        if ".default." in name:
            model.get_parameter(name.replace(".default.", f".{REFERENCE}.")).data.copy_(weight.data)


@contextlib.contextmanager
def seeded(*key: object) -> Iterator[None]:
    """Draw from a generator that `key` alone determines; the run's own is left as it is."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(int(cache.digest(*key)[:15], 16))
        yield


class Policy(Resumable):
    """What both trainers do here in another way than trl; mixed into them."""

    def __init__(
        self,
        settings: Reinforce,
        rewards: Sequence[Reward],
        prompts: Mapping[str, Sequence[Prompt]],
        tokenizer: Any,
        compute_dtype: torch.dtype,
        **arguments: Any,
    ) -> None:
        self.settings, self._rewards = settings, rewards
        self.asked, self.held = prompts["train"], prompts["validation"]
        self._compute_dtype = compute_dtype
        self._drawn = self._seconds = 0.0
        if not arguments["args"].beta:
            keep_reference(arguments["model"])
        super().__init__(processing_class=tokenizer, **arguments)
        # trl rounds what learns over a quantised model to bf16, in which small updates are lost.
        for weight in self.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()

    def _send_telemetry(self) -> None:
        """Tell nobody of the run."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None: a checkpoint is read by the run that goes on from it alone."""

    def _get_train_sampler(self, dataset: Any = None) -> Rounds:
        return Rounds(len(self.train_dataset), self.settings)

    def _tokenize_prompts(self, prompts: Sequence[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Prompts are token ids already: those that the model was trained with."""
        return [list(ids) for ids in prompts], None, {}

    def _prepare_inputs(self, batch: Any) -> Any:
        """Answers drawn at a step depend on it and the seed alone, so that a resumed run draws the same."""
        with seeded("reinforce", self.settings.seed, self.state.global_step):
            return super()._prepare_inputs(batch)

    def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any) -> list[list[int]]:
        """`samples` answers to each prompt, which stands there as often; EOS is a part of an answer."""
        settings = self.settings
        drawn = {"do_sample": True, "temperature": settings.temperature, "top_p": 1.0, "top_k": 0}
        several = self.complete(prompt_ids[:: settings.samples], settings.samples, **drawn)
        answers = [closed(reply) for replies in several for reply in replies]
        self._drawn += sum(map(len, answers))
        return answers

    def complete(
        self, prompts: Sequence[list[int]], samples: int = 1, **sampling: Any
    ) -> list[list[Completion]]:
        """The model's answers as it stands, with the weights of the adapter that is active."""
        model = self.accelerator.unwrap_model(self.model)
        dtype = self._compute_dtype
        with undisturbed(model), torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
            decoder = Decoder(model, self._tokenizer.pad_token_id)
            stop = stop_tokens(model.get_base_model(), self._tokenizer)
            return decoder.complete(prompts, stop, self.settings.maximum_tokens, samples, **sampling)

    def training_step(self, *arguments: Any) -> torch.Tensor:
        """Draw answers where it is time, compute gradients, and measure how long both take."""
        start = time.perf_counter()
        loss: torch.Tensor = super().training_step(*arguments)
        self._seconds += time.perf_counter() - start
        return loss

    def log(self, logs: dict[str, float], *rest: Any) -> None:
        """Log what trl measures, but for what is unwanted, and drawn tokens a second."""
        if "loss" in logs and self._seconds and self._drawn:
            logs["tokens_per_second"] = self._drawn / self._seconds
            self._drawn = self._seconds = 0.0
        for measured in self._metrics.values():
            for name in [name for name, values in measured.items() if unwanted(name, values)]:
                del measured[name]
        super().log(logs, *rest)

    def validation_figures(self) -> dict[str, float]:
        """The figures of greedy answers to the held-out questions."""
        self.model.eval()
        answers, nats = self.answer()
        told = {"reward": sum(one.signed for one in answers) / len(answers)} | figures(answers)
        told["kl"] = float(nats.sum(0)[0] / nats.sum(0)[1])
        return {f"eval_{name}": value for name, value in told.items()}

    def answer(self) -> tuple[list[Scored], torch.Tensor]:
        """Greedy answers to the held-out questions, and divergence (nats) and tokens of each [questions, 2].

        The divergence from the reference is the sum over the answer's tokens of r - log r - 1, r the ratio
        of the reference's probability to the model's (Schulman, 2020, http://joschu.net/blog/kl-approx.html).
        """
        size = self.settings.answers()
        # Similar lengths together, the longest first: too large a batch fails at once.
        order = sorted(range(len(self.held)), key=lambda i: (-len(self.held[i].ids), i))
        replies: dict[int, Completion] = {}
        for start in range(0, len(order), size):
            own = order[start : start + size]
            found = self.complete([self.held[i].ids for i in own])
            replies |= {i: reply for i, (reply,) in zip(own, found, strict=True)}
        texts = [
            self._tokenizer.decode(replies[i].ids, skip_special_tokens=True) for i in range(len(self.held))
        ]
        rows = [(prompt.ids, closed(replies[i])) for i, prompt in enumerate(self.held)]
        return scored(self._rewards, self.held, texts), self.divergence(rows)

    def divergence(self, rows: Sequence[tuple[list[int], list[int]]]) -> torch.Tensor:
        """Sum over each answer's tokens of the divergence from the reference (nats), and their number."""
        found = []
        for start in range(0, len(rows), self.settings.batch):
            own = rows[start : start + self.settings.batch]
            now = self._log_probs(own)
            with use_adapter(self.accelerator.unwrap_model(self.model), REFERENCE):
                then = self._log_probs(own)
            for one, other in zip(now, then, strict=True):
                gap = other - one
                found.append([float((gap.exp() - gap - 1).sum()), float(len(one))])
        return torch.tensor(found, dtype=torch.float64)

    def _log_probs(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[torch.Tensor]:
        """Log-probability of each token of each answer, by the adapter that is active."""
        longest = [max(len(row[side]) for row in rows) for side in (0, 1)]
        pad, device = self._tokenizer.pad_token_id, self.accelerator.device
        ids = torch.full((len(rows), sum(longest)), pad, device=device)
        mask = torch.zeros_like(ids)
        for at, (prompt, answer) in enumerate(rows):
            place = slice(longest[0] - len(prompt), longest[0] + len(answer))
            ids[at, place] = torch.tensor([*prompt, *answer], device=device)
            mask[at, place] = 1
        with torch.no_grad():
            found, *_ = self._get_per_token_logps_and_entropies(self.model, ids, mask, longest[1])
        return [row[: len(answer)].double() for row, (_, answer) in zip(found, rows, strict=True)]


def unwanted(name: str, values: Sequence[float]) -> bool:
    """Whether a figure of trl's tells of time, stands there under another name, or has no value."""
    return name in ("step_time", "num_tokens") or "/Judge/" in name or all(map(math.isnan, values))


def closed(reply: Completion) -> list[int]:
    """An answer's ids with its stop token; without one where it was cut off."""
    return reply.ids if reply.stop is None else [*reply.ids, reply.stop]


class GrpoPolicy(Policy, GRPOTrainer):
    """GRPO over token ids."""

    def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any) -> Any:
        """Answers, and no log-probabilities: trl computes them as it does those that it learns by."""
        return super()._generate_single_turn(prompt_ids), None


class RlooPolicy(Policy, RLOOTrainer):
    """RLOO over token ids."""


TRAINERS = {"grpo": (GrpoPolicy, GRPOConfig), "rloo": (RlooPolicy, RLOOConfig)}
