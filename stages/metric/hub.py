"""Any metric of the Hugging Face hub, or a script of one's own in its form."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from pydantic import Field

from stages.errors import FolioError
from stages.figure import Configured
from stages.jsonl import Record
from stages.option import setting


@setting
class Hub(Configured):
    """A metric by its name, as the library `evaluate` loads it, of one answer at a time.

    Such a metric is a Python script that is executed, so `trust_code` must be set by hand. `keep` are the
    keys of its result that become figures: numbers, or lists of one number.
    """

    path: str
    config_name: str | None
    revision: str | None
    prediction: str
    reference: str
    arguments: dict[str, Any]
    keep: list[str] = Field(min_length=1)
    trust_code: bool

    def check(self) -> None:
        """A person must have allowed the script to run."""
        if not self.trust_code:
            raise FolioError(
                f"metric.hub runs a script, {self.path}, with your rights: read it, name the commit in "
                "metric.hub.revision, then set metric.hub.trust_code=true"
            )

    def names(self) -> tuple[str, ...]:
        """The keys that are kept."""
        return tuple(self.keep)

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return the kept numbers of every answer; nothing where one of them is not finite.

        Raises:
            FolioError: the script is not allowed to run, is not found, fails, or gives no such number.
        """
        self.check()
        return [self._values(row["answer"], row["reference"]) for row in answers]

    def _values(self, answer: str, reference: str) -> dict[str, float]:
        texts = {self.prediction: [answer], self.reference: [reference]}
        try:
            result = self._module.compute(**texts, **self.arguments) or {}
        except FolioError:
            raise
        except Exception as error:  # a stranger's script may raise anything
            raise FolioError(f"the metric {self.path} (metric.hub.path) fails: {error!r}") from error
        values = {key: self._number(result, key) for key in self.keep}
        return values if all(map(math.isfinite, values.values())) else {}

    def _number(self, result: dict[str, Any], key: str) -> float:
        value = result.get(key)
        try:
            return float(value[0] if isinstance(value, list) and len(value) == 1 else value)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            known = ", ".join(map(str, result))
            raise FolioError(
                f"metric.hub.keep: {self.path} gives no number named {key}; its result has {known}"
            ) from error

    @cached_property
    def _module(self) -> Any:
        import evaluate

        try:
            # In memory: files that are named for the metric alone would meet those of another process.
            return evaluate.load(self.path, self.config_name, revision=self.revision, keep_in_memory=True)
        except ImportError as error:
            raise FolioError(f"the metric {self.path} (metric.hub.path) needs a package: {error}") from error
        except (OSError, ValueError) as error:
            raise FolioError(
                f"the metric {self.path} (metric.hub.path) is no folder with a script of its name, and the "
                "hub gives none; check the name, the revision and the network"
            ) from error
