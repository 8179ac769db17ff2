"""What preference objectives share: log-probabilities of both answers in, losses and rewards out."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from stages.option import Option, setting

if TYPE_CHECKING:
    import torch


class Answers(NamedTuple):
    """How likely a model finds the two answers of each pair, all of shape [pairs].

    An answer that a pair lacks has no tokens, and a log-probability of 0.
    """

    chosen: (
        "torch.Tensor"  # log-probability of the whole answer (nats): the sum over its tokens, EOS included
    )
    rejected: "torch.Tensor"
    chosen_tokens: "torch.Tensor"
    rejected_tokens: "torch.Tensor"
    # Mean log-probability (nats) of whole answers to other prompts than their own, over a step; no gradient.
    mismatched: "torch.Tensor | float" = 0.0

    def means(self) -> "tuple[torch.Tensor, torch.Tensor]":
        """Mean log-probability of a token (nats) of the chosen and of the rejected answers."""
        first, second = self.chosen_tokens.clamp(min=1), self.rejected_tokens.clamp(min=1)
        return self.chosen / first, self.rejected / second


class Judged(NamedTuple):
    """What an objective makes of them, all of shape [pairs]."""

    losses: "torch.Tensor"
    chosen: "torch.Tensor"  # the implicit reward of the chosen answer
    rejected: "torch.Tensor"
    kl: "torch.Tensor | None" = None  # one estimate (nats) of how far the model is from the reference


@setting
class Objective(Option, ABC):
    """A loss over preference pairs; `stages` and `adapter` shape the pipeline."""

    needs_reference: ClassVar[bool] = False
    """Whether the loss looks at the model as it was at the start of the run."""
    needs_mismatched: ClassVar[bool] = False
    """Whether it looks at answers to other prompts: `Answers.mismatched`, else 0."""
    needs_both: ClassVar[bool] = True
    """Whether a prompt with a chosen or a rejected answer alone teaches it nothing."""

    stages: list[str]  # a stage of this name aligns; none where the list is empty
    adapter: str  # what is merged

    @abstractmethod
    def __call__(self, policy: Answers, reference: Answers) -> Judged:
        """Losses and rewards of pairs; where `needs_reference` is false, `reference` is not looked at."""
