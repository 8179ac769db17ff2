"""A model on this machine reads one sentence and asks the question that it answers."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache as once
from itertools import groupby
from typing import Any

from pydantic import Field, model_validator

from stages import cache
from stages.decode import Completion, Decoder
from stages.jsonl import Record
from stages.language_model import load_model, load_tokenizer
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.sentences import spans
from stages.topic import topic

# A sentence that leans on the one before it cannot be asked about alone.
LEANING = re.compile(
    r"(this|these|those|it|they|he|she|such|that|its|their|however|also|for example|in addition|"
    r"additionally|therefore|thus|otherwise|both|another|others?|some|as a result|similarly|then|"
    r"instead|each|note|see|figure|table|section|appendix)\b",
    re.IGNORECASE,
)
MARKER = re.compile(r"(?:-|\d{1,3}[.)])\s+")


# Raised when the way of asking changes, so that the ledger's older replies no longer count.
FORM = 1


@dataclass(frozen=True)
class _Call:
    chunk: Record
    evidence: tuple[int, int]

    @property
    def answer(self) -> str:
        text: str = self.chunk["text"][self.evidence[0] : self.evidence[1]]
        return text

    @property
    def prompt(self) -> str:
        return f"Topic: {topic(self.chunk)}\nSentence: {self.answer}\nQuestion:"


@setting
class Local(Option):
    """Sentence first, then its question: the answer is located before it is asked for."""

    model: Any
    prompt: dict[str, str]
    samples: int = Field(ge=1)
    temperature: float = Field(ge=0, le=2)
    top_k: int = Field(ge=1)
    batch: int = Field(ge=1)
    maximum_tokens: int = Field(ge=4)
    sentence_words: tuple[int, int] = Field(strict=False)
    language: str
    seed: int
    watch: str
    code: str

    @model_validator(mode="after")
    def _possible(self) -> "Local":
        if self.temperature == 0 and self.samples > 1:
            raise ValueError("generator.temperature=0 is greedy and gives one question: samples must be 1")
        if self.sentence_words[0] > self.sentence_words[1]:
            raise ValueError(f"generator.sentence_words={list(self.sentence_words)}: the shorter comes first")
        return self

    def check(self) -> None:
        """The model that writes must be there."""
        self.model.check()

    @property
    def identity(self) -> str:
        """The model that writes the questions."""
        identity: str = self.model.identity
        return identity

    def __call__(self, chunks: Iterable[Record], ledger: Ledger) -> Iterator[Record]:
        """Yield candidate pairs (chunk, question, answer, evidence, score), in the chunks' order.

        Batches lie within one document and a batch is stored whole, so a run that was killed, or
        that finds another document beside the old ones, decodes the same batches again.
        """
        writer = once(lambda: _Writer(self))  # no model is loaded where the ledger knows it all
        for _, document in groupby(chunks, key=lambda chunk: chunk["document"]):
            calls = [call for chunk in document for call in self._calls(chunk)]
            yield from self._answer(calls, ledger, writer)

    def plan(self, chunks: Iterable[Record], ledger: Ledger) -> dict[str, Any]:
        """What a run would ask for: the `calls` that are not in the ledger."""
        keys = {self._key(call) for chunk in chunks for call in self._calls(chunk)}
        return {"calls": len(keys) - len(ledger.get(sorted(keys)))}

    def _calls(self, chunk: Record) -> Iterator[_Call]:
        least, most = self.sentence_words
        for begin, end in spans(chunk["text"], self.language):
            marker = MARKER.match(chunk["text"], begin, end)
            start = marker.end() if marker else begin
            sentence = chunk["text"][start:end]
            whole = sentence.endswith((".", "!")) and sentence[:1].isupper()
            plain = "http" not in sentence and " | " not in sentence
            if whole and plain and least <= len(sentence.split()) <= most and not LEANING.match(sentence):
                yield _Call(chunk, (start, end))

    def _key(self, call: _Call) -> str:
        settings = (self.samples, self.temperature, self.top_k, self.maximum_tokens, self.seed)
        model = self.identity, self.model.dtype
        return cache.digest("local", FORM, *model, self.prompt["text"], settings, call.prompt)

    def _answer(
        self, calls: Sequence[_Call], ledger: Ledger, writer: Callable[[], "_Writer"]
    ) -> Iterator[Record]:
        keys = [self._key(call) for call in calls]
        replies = ledger.get(keys)
        missing = {key: call for key, call in zip(keys, calls, strict=True) if key not in replies}
        # Similar lengths together: padding is work that nobody reads.
        order = sorted(missing, key=lambda key: (len(missing[key].prompt), key))
        batches = [order[i : i + self.batch] for i in range(0, len(order), self.batch)]
        for batch in _progress(batches):
            asked = writer().ask([missing[key].prompt for key in batch], cache.digest(*batch))
            fresh = dict(zip(batch, asked, strict=True))
            ledger.put(fresh)
            replies.update(fresh)
        for key, call in zip(keys, calls, strict=True):
            yield from (_candidate(call, question, score) for question, score in replies[key])


class _Writer:
    """The loaded model, with the worked examples read once."""

    def __init__(self, option: Local) -> None:
        folder = option.model.folder()
        self._option = option
        self._tokenizer = load_tokenizer(folder)
        # Plain text, no chat template: here the tokenizer's own BOS, where it has one, is right.
        prefix = self._tokenizer(option.prompt["text"])["input_ids"]
        model = load_model(folder, option.model.dtype)
        self._decoder = Decoder(model, self._tokenizer.pad_token_id, prefix)
        self._mark = self._ids("?")[-1]
        self._stop = [self._mark, self._ids("\n")[-1], self._tokenizer.eos_token_id]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def ask(self, prompts: list[str], seal: str) -> list[list[tuple[str, float]]]:
        """Return (question, mean log-probability) of every sample for every prompt."""
        import torch

        # The batch's own content seeds it: what ran before it leaves no trace.
        torch.manual_seed(int(seal[:15], 16))
        option = self._option
        sampling = {"do_sample": True, "temperature": option.temperature, "top_k": option.top_k, "top_p": 1.0}
        rows = self._decoder.complete(
            [self._ids(prompt) for prompt in prompts],
            self._stop,
            option.maximum_tokens,
            option.samples,
            **(sampling if option.temperature else {}),
        )
        return [[(self._question(c), round(c.mean_log_prob, 4)) for c in row] for row in rows]

    def _question(self, completion: Completion) -> str:
        text: str = self._tokenizer.decode(completion.ids, skip_special_tokens=True)
        return text.strip() + ("?" if completion.stop == self._mark else "")


def _candidate(call: _Call, question: str, score: float) -> Record:
    evidence = list(call.evidence)
    answer = {"question": question, "answer": call.answer, "evidence": evidence, "score": score}
    return {"chunk": call.chunk, "topic": topic(call.chunk)} | answer


def _progress(batches: list[Any]) -> Iterable[Any]:
    from tqdm import tqdm

    return tqdm(batches, desc="questions", unit="batch", disable=not batches)
