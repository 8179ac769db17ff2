"""What a text classifier makes of the answers: toxicity, sentiment, bias."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from stages.errors import FolioError
from stages.figure import Configured
from stages.jsonl import Record
from stages.option import nearest, setting

if TYPE_CHECKING:
    import torch

KINDS = ("folder", "hub")
CUT = "truncated"
UNLIMITED = 1_000_000  # tokens; where neither model nor tokenizer tells, its length is a number of 30 digits
# What the stage appraise makes, maybe in the very run whose settings are being checked.
REWARD = Path("models/reward")
# In its config.json: whether it was trained on answers behind their questions.
MARK = "reads_question"


def encode(
    tokenizer: Any, rows: Sequence[Record], question: bool, longest: int | None = None, **options: Any
) -> Any:
    """What a classifier reads of answer records: the answer alone, or behind its question as a second text.

    Beyond `longest` tokens the ends of the longer of both texts are cut off; without it nothing is.
    """
    texts = [[row[name] for row in rows] for name in (("question", "answer") if question else ("answer",))]
    limits = {"truncation": True, "max_length": longest} if longest else {"verbose": False}
    return tokenizer(*texts, **limits, **options)


def longest(model: Any, tokenizer: Any) -> int:
    """Tokens that a classifier reads at most."""
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    # RoBERTa and its kin count positions from the one after padding.
    offset = getattr(getattr(model.base_model, "embeddings", None), "padding_idx", None)
    taken = 0 if offset is None else offset + 1
    return int(min(positions - taken, tokenizer.model_max_length, UNLIMITED))


@setting
class Classifier(Configured):
    """Mean probability of each label (all, or those of `labels`), by any sequence classifier in safetensors.

    Probabilities are a softmax over all labels; for a model of several labels at once, or of one, a sigmoid
    of each; for a regression its plain outputs. With `question` the model reads the question as a first
    text. `truncated` is the share of answers longer than the model reads, with their questions if it reads
    those, of which the beginning counts. No code of a model is executed; with dtype `auto` it computes in
    the one it was saved in.
    """

    model: Any
    labels: list[str]
    question: bool
    batch: int = Field(ge=1)

    @model_validator(mode="after")
    def _classifies(self) -> "Classifier":
        if self.model.name not in KINDS:
            raise ValueError(f"metric.classifier.model={self.model.name}: choose {' or '.join(KINDS)}")
        return self

    def check(self) -> None:
        """The model must be there and know the labels; one of the hub is fetched by `score` alone."""
        if self.model.name == "folder" and Path(self.model.path) != REWARD:
            self.names()

    def by(self) -> str:
        """The classifier."""
        return str(self.model.identity)

    def names(self) -> tuple[str, ...]:
        """The labels that are measured.

        Raises:
            FolioError: the model is missing, has no such label or was trained to read something else.
        """
        told = getattr(self._config, MARK, self.question)
        if told != self.question:
            texts = "answers behind their questions" if told else "answers alone"
            raise FolioError(
                f"the model in {self._folder} was trained on {texts}: set "
                f"metric.classifier.question={str(told).lower()}"
            )
        known = list(self._config.id2label.values())
        for label in self.labels:
            if label not in known:
                raise FolioError(
                    f"metric.classifier.labels: the model in {self._folder} has no label {label}"
                    f"{nearest(label, known)}; it has {', '.join(known[:20])}"
                )
        return tuple(self.labels or known)

    @property
    def neutral(self) -> tuple[str, ...]:  # type: ignore[override]
        """Length is neither good nor bad."""
        return (*super().neutral, CUT)

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return the labels' probabilities and `truncated` (0 or 1) of every answer; of an empty one nothing.

        Raises:
            FolioError: the model cannot be loaded, or is no classifier.
        """
        found: list[dict[str, float]] = [{} for _ in answers]
        said = [index for index, row in enumerate(answers) if row["answer"].strip()]
        if not said:
            return found
        ids = encode(self._tokenizer, [answers[index] for index in said], self.question)["input_ids"]
        lengths = dict(zip(said, map(len, ids), strict=True))
        # The longest first: what does not fit into memory shows at once.
        said.sort(key=lambda index: -lengths[index])
        names, size = self.names(), self.batch if self._tokenizer.pad_token else 1
        for start in range(0, len(said), size):
            some = said[start : start + size]
            values = self._classify([answers[index] for index in some])
            for index, value in zip(some, values, strict=True):
                cut = {CUT: float(lengths[index] > self._longest)}
                found[index] = {name: value[self._config.label2id[name]] for name in names} | cut
        return found

    def _classify(self, rows: Sequence[Record]) -> list[list[float]]:
        """Every label's probability of each answer, [answers, labels]."""
        import torch

        options = {"padding": len(rows) > 1, "return_tensors": "pt"}
        inputs = encode(self._tokenizer, rows, self.question, self._longest, **options)
        inputs = inputs.to(self._model.device)
        with torch.inference_mode():
            values: list[list[float]] = self._probabilities(self._model(**inputs).logits.float()).tolist()
        return values

    def _probabilities(self, logits: "torch.Tensor") -> "torch.Tensor":
        """As transformers' text-classification pipeline has them."""
        kind = self._config.problem_type
        if kind == "regression":
            return logits
        if kind == "multi_label_classification" or self._config.num_labels == 1:
            return logits.sigmoid()
        return logits.softmax(dim=-1)

    @cached_property
    def _folder(self) -> Any:
        try:
            return self.model.folder()
        except FolioError as error:
            raise FolioError(f"metric.classifier: {error}") from error

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        return self._load(AutoConfig)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return self._load(AutoTokenizer, padding_side="right", truncation_side="right")

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForSequenceClassification
        from transformers.utils import logging

        logging.disable_progress_bar()
        options = {"dtype": self.model.dtype, "use_safetensors": True, "output_loading_info": True}
        model, report = self._load(AutoModelForSequenceClassification, **options)
        if missing := sorted(report["missing_keys"]):
            # What is missing would be drawn at random.
            raise FolioError(
                f"the model in {self._folder} (metric.classifier.model) is no text classifier: "
                f"its weights lack {', '.join(missing[:3])}; name another"
            )
        return model.to(torch.accelerator.current_accelerator(check_available=True) or "cpu").eval()

    def _load(self, kind: Any, **options: Any) -> Any:
        from safetensors import SafetensorError

        try:
            return kind.from_pretrained(
                self._folder, local_files_only=True, trust_remote_code=False, **options
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise FolioError(
                f"{self._folder} (metric.classifier.model) holds no text classifier that transformers "
                f"can load: {error}"
            ) from error

    @cached_property
    def _longest(self) -> int:
        """Tokens that the model reads."""
        return longest(self._model, self._tokenizer)
