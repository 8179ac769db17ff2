"""A model on this machine reads one sentence and asks the question that it answers."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache as once
from itertools import groupby, zip_longest
from typing import Any

from pydantic import Field, model_validator

from stages import cache
from stages.account import Account
from stages.askable import Sentence, opening, sentences, torn
from stages.decode import Completion, Decoder
from stages.jsonl import Record
from stages.kinds import kind_of
from stages.language_model import load_model, load_tokenizer
from stages.ledger import Ledger
from stages.option import LocalModel, setting
from stages.recast import acronym, recast
from stages.topic import topic
from stages.words import QUESTION_MARKS, TOKEN_BYTES

# Raised when the way of asking changes, so that the ledger's older replies no longer count.
FORM = 3
WORD = re.compile(r"\b[^\W\d_][\w’'-]*")
# A word with a capital behind a small one, or before another: a name.
NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w’'-]*|\b[A-Z][\w’'-]*(?= [A-Z\d])")
# A question with its kind and its score.
Scored = tuple[str, str, float]


@dataclass(frozen=True)
class _Call:
    chunk: Record
    evidence: tuple[int, int]
    # Kinds and questions that the model scores; none: it writes its own.
    questions: list[tuple[str, str]]

    @property
    def answer(self) -> str:
        text: str = self.chunk["text"][self.evidence[0] : self.evidence[1]]
        return text

    @property
    def prompt(self) -> str:
        sentence = " ".join(self.answer.replace(" | ", ": ").split())
        return f"Topic: {topic(self.chunk)}\nSentence: {sentence}\nQuestion:"


@setting
class Local(LocalModel):
    """Sentence first, then its question: the answer is located before it is asked for.

    Where an English sentence has a form that can be recast as a question, the model says how likely
    it finds each such question; about other sentences it writes its own.
    """

    prompt: dict[str, str]
    recast: bool
    samples: int = Field(ge=1)
    temperature: float = Field(ge=0, le=2)
    top_k: int = Field(ge=1)
    batch: int = Field(ge=1)
    maximum_tokens: int = Field(ge=4)
    sentence_words: tuple[int, int] = Field(strict=False)
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

    def __call__(self, chunks: Iterable[Record], ledger: Ledger) -> Iterator[Record]:
        """Yield pairs (chunk, kind, question, answer, quote, evidence, score), in the chunks' order.

        Batches lie within one document and a batch is stored whole, so a run that was killed, or
        that finds another document beside the old ones, computes the same batches again. A chunk
        without a candidate yields one record with its `reason`.
        """
        writer = once(lambda: _Writer(self))  # no model is loaded where the ledger knows it all
        for _, group in groupby(chunks, key=lambda chunk: chunk["document"]):
            document = list(group)
            calls = list(self._calls(document))
            replies = self._replies(calls, ledger, writer)
            pairs = [pair for call in calls for pair in _candidates(call, replies[self._key(call)])]
            of_chunk = {
                chunk: list(found) for chunk, found in groupby(pairs, key=lambda pair: pair["chunk"]["id"])
            }
            for chunk in document:
                yield from of_chunk.get(chunk["id"]) or [self._silent(chunk)]

    def plan(self, chunks: Iterable[Record], ledger: Ledger) -> dict[str, Any]:
        """What a run would ask for: `calls` not in the ledger, tokens to read and, at most, to write."""
        documents = groupby(chunks, key=lambda chunk: chunk["document"])
        calls = {self._key(call): call for _, group in documents for call in self._calls(list(group))}
        known = ledger.get(sorted(calls))
        missing = [call for key, call in calls.items() if key not in known]
        texts = [call.prompt + "".join(question for _, question in call.questions) for call in missing]
        written = sum(not call.questions for call in missing) * self.samples * self.maximum_tokens
        return {
            "calls": len(missing),
            "prompt_tokens": sum(len(text.encode()) for text in texts) // TOKEN_BYTES,
            "reply_tokens": written,
        }

    def coverage(self, chunks: Iterable[Record]) -> dict[str, Any]:
        """How many sentences were asked about, and why the others were not."""
        account = Account("sentences")
        for _, sentence in self._sentences(list(chunks)):
            account.drop(sentence.reason) if sentence.reason else account.keep()
        return {"sentences": account.as_dict()}

    def _calls(self, document: Sequence[Record]) -> Iterator[_Call]:
        common = common_words(chunk["text"] for chunk in document)
        heading = None
        for chunk, sentence in self._sentences(document):
            if chunk["headings"] != heading:
                heading = chunk["headings"]
                yield from self._headed(chunk)
            if not sentence.reason:
                text = chunk["text"][sentence.start : sentence.end]
                questions = recast(text, common) if self.recast and chunk["language"] == "en" else []
                yield _Call(chunk, (sentence.start, sentence.end), questions)

    def _sentences(self, chunks: Sequence[Record]) -> Iterator[tuple[Record, Sentence]]:
        """Every sentence of the chunks, with the reason why it is not asked about, if there is one."""
        for chunk, following in zip_longest(chunks, chunks[1:]):
            goes_on = following and following["headings"] == chunk["headings"]
            for sentence in sentences(chunk["text"], chunk["language"], self.sentence_words):
                reason = sentence.reason
                if chunk["language"] not in self.prompt:
                    reason = "language_without_prompt"
                elif goes_on and torn(sentence, chunk["text"], following["text"]):
                    reason = "torn_list"
                yield chunk, Sentence(sentence.start, sentence.end, reason)

    def _headed(self, chunk: Record) -> Iterator[_Call]:
        """A section whose heading is a question, as in a list of frequent ones: it begins with the answer."""
        question, most = topic(chunk), 2 * self.sentence_words[1]
        if chunk["language"] not in self.prompt:
            return
        found = opening(chunk["text"], chunk["language"], most) if question.endswith(QUESTION_MARKS) else None
        if found:
            kind = kind_of(question, chunk["language"])
            yield _Call(chunk, (found.start, found.end), [(kind, question)])

    def _silent(self, chunk: Record) -> Record:
        reason = "no_sentence" if chunk["language"] in self.prompt else "language_without_prompt"
        empty = {"kind": "", "question": "", "answer": "", "quote": "", "evidence": None, "score": None}
        return {"chunk": chunk} | empty | {"reason": reason}

    def _key(self, call: _Call) -> str:
        model = self.identity, self.model.dtype, self.prompt[call.chunk["language"]]
        settings = (self.samples, self.temperature, self.top_k, self.maximum_tokens, self.seed)
        asked = call.questions or settings
        return cache.digest("local", FORM, *model, asked, call.prompt)

    def _replies(
        self, calls: Sequence[_Call], ledger: Ledger, writer: Callable[[], "_Writer"]
    ) -> dict[str, list[Scored]]:
        from tqdm import tqdm

        keys = [self._key(call) for call in calls]
        replies = ledger.get(keys)
        missing = {key: call for key, call in zip(keys, calls, strict=True) if key not in replies}
        batches = list(self._batches(missing))
        for batch in tqdm(batches, desc="questions", unit="batch", disable=not batches):
            fresh = dict(zip(batch, writer().ask(list(batch.values()), cache.digest(*batch)), strict=True))
            ledger.put(fresh)
            replies.update(fresh)
        return replies

    def _batches(self, missing: dict[str, _Call]) -> Iterator[dict[str, _Call]]:
        """Calls of one way of asking, one language and similar length: padding is work that nobody reads."""

        def way(key: str) -> tuple[bool, str]:
            return bool(missing[key].questions), missing[key].chunk["language"]

        order = sorted(missing, key=lambda key: (way(key), len(missing[key].prompt), key))
        for _, group in groupby(order, key=way):
            keys = list(group)
            for start in range(0, len(keys), self.batch):
                yield {key: missing[key] for key in keys[start : start + self.batch]}


def common_words(texts: Iterable[str]) -> set[str]:
    """The words of a document that are no names: small somewhere, or with a capital only where one is due."""
    words: set[str] = set()
    names: set[str] = set()
    for text in texts:
        words.update(WORD.findall(text))
        names.update(NAME.findall(text))
    small = {word for word in words if word.islower()}
    return small | {word.lower() for word in words - names if word.istitle()}


class _Writer:
    """The loaded model, with the worked examples read once."""

    def __init__(self, option: Local) -> None:
        folder = option.model.folder()
        self._option = option
        self._tokenizer = load_tokenizer(folder)
        self._model = load_model(folder, option.model.dtype)
        self._mark = self._ids("?")[-1]
        self._stop = [self._mark, self._ids("\n")[-1], self._tokenizer.eos_token_id]
        self._decoder = once(self._prefixed)

    def _prefixed(self, language: str) -> Decoder:
        # Plain text, no chat template: here the tokenizer's own BOS, where it has one, is right.
        prefix = self._tokenizer(self._option.prompt[language])["input_ids"]
        return Decoder(self._model, self._tokenizer.pad_token_id, prefix)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def ask(self, calls: Sequence[_Call], seal: str) -> list[list[Scored]]:
        """Return every call's questions, each with its kind and its mean log-probability.

        The calls are of one language, and either all with questions to choose from or all without.
        """
        decoder = self._decoder(calls[0].chunk["language"])
        return self._score(calls, decoder) if calls[0].questions else self._write(calls, decoder, seal)

    def _score(self, calls: Sequence[_Call], decoder: Decoder) -> list[list[Scored]]:
        # A question that the model writes is scored without its mark, too.
        rows = [
            (self._ids(call.prompt), [self._ids(" " + question[:-1]) for _, question in call.questions])
            for call in calls
        ]
        return [
            [
                (kind, question, round(score, 4))
                for (kind, question), score in zip(call.questions, scores, strict=True)
            ]
            for call, scores in zip(calls, decoder.score(rows), strict=True)
        ]

    def _write(self, calls: Sequence[_Call], decoder: Decoder, seal: str) -> list[list[Scored]]:
        import torch

        # The batch's own content seeds it: what ran before it leaves no trace.
        torch.manual_seed(int(seal[:15], 16))
        option = self._option
        sampling = {"do_sample": True, "temperature": option.temperature, "top_k": option.top_k, "top_p": 1.0}
        rows = decoder.complete(
            [self._ids(call.prompt) for call in calls],
            self._stop,
            option.maximum_tokens,
            option.samples,
            **(sampling if option.temperature else {}),
        )
        return [
            [self._scored(completion, call) for completion in row]
            for row, call in zip(rows, calls, strict=True)
        ]

    def _scored(self, completion: Completion, call: _Call) -> Scored:
        text: str = self._tokenizer.decode(completion.ids, skip_special_tokens=True)
        question = text.strip() + ("?" if completion.stop == self._mark else "")
        return kind_of(question, call.chunk["language"]), question, round(completion.mean_log_prob, 4)


def _candidates(call: _Call, questions: Iterable[Scored]) -> Iterator[Record]:
    for kind, question, score in questions:
        # Of a row in a table of acronyms the answer is what the acronym stands for.
        answer = call.answer.rpartition(" | ")[2] if acronym(call.answer) else call.answer
        place = {"answer": answer, "quote": call.answer, "evidence": list(call.evidence)}
        yield {"chunk": call.chunk, "kind": kind, "question": question} | place | {"score": score}
