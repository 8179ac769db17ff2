"""What objectives share that learn from rewards of the model's own answers: which of trl's trainers it is."""

from abc import ABC, abstractmethod
from typing import Any

from stages.option import Option, setting


@setting
class SamplingObjective(Option, ABC):
    """How rewards become advantages, and these a loss; `stages` and `adapter` shape the pipeline."""

    stages: list[str]  # that align by preferences: none
    adapter: str  # what is merged

    @abstractmethod
    def knobs(self) -> dict[str, Any]:
        """Its own settings, in the words of trl's configuration."""
