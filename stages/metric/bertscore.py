"""BERTScore F1 against the reference, by an embedding model that a package carries."""

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from stages.errors import FolioError
from stages.figure import Metric
from stages.jsonl import Record
from stages.option import setting


@setting
class Bertscore(Metric):
    """Zhang et al., 2020, arXiv:1904.09675; without idf weights and without rescaling."""

    package: str
    layers: int = Field(ge=1)
    batch: int = Field(ge=1)

    def by(self) -> str:
        """The embedding model and its layer."""
        return f"{self.package}, layer {self.layers}"

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return bertscore F1 of every answer; an empty answer scores 0."""
        scores = [0.0] * len(answers)
        said = [index for index, row in enumerate(answers) if row["answer"].strip()]
        if said:
            texts = [[answers[i][key] for i in said] for key in ("answer", "reference")]
            f1 = self._scorer.score(*texts, batch_size=self.batch)[2]
            for index, score in zip(said, f1.tolist(), strict=True):
                scores[index] = score
        return [{"bertscore": score} for score in scores]

    @cached_property
    def _scorer(self) -> Any:
        from bert_score import BERTScorer

        spec = importlib.util.find_spec(self.package.replace("-", "_"))
        if spec is None or not spec.submodule_search_locations:
            raise FolioError(
                f"the package {self.package} (metric.bertscore.package) is not installed; run `make env`"
            )
        folder = Path(spec.submodule_search_locations[0]) / "model"
        return BERTScorer(model_type=str(folder), num_layers=self.layers)
