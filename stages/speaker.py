"""A model that answers a question piece by piece, within bounds of tokens and seconds."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from stages.errors import FolioError
from stages.formatted import formatted
from stages.printable import UNPRINTABLE
from stages.settings.ask import Ask
from stages.wording import Format

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Reply:
    """An answer so far; `ended` says why nothing follows (None: more may)."""

    text: str
    tokens: int
    seconds: float
    ended: str | None

    def note(self) -> str:
        """How long it is, how long it took, and what ended it."""
        spent = f"{self.tokens} tokens in {self.seconds:.1f} s"
        return f"{spent}, {self.ended}" if self.ended else spent


class Answering(Protocol):
    """Whatever answers a question as `Speaker` does."""

    def answer(self, question: str, passage: str | None) -> Iterator[Reply]:
        """Yield the answer so far, again and again, until one says why it ended."""


class Speaker:
    """Answers as `evaluate` has a model answer: the same prompt, the same decoding."""

    def __init__(
        self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", form: Format, settings: Ask
    ) -> None:
        from stages.decode import Decoder
        from stages.language_model import context, stop_tokens

        self._tokenizer, self._form, self._settings = tokenizer, form, settings
        self._decoder = Decoder(model, tokenizer.pad_token_id)
        self._stop = stop_tokens(model, tokenizer)
        self._room = context(model)

    def answer(self, question: str, passage: str | None) -> Iterator[Reply]:
        """Yield the answer so far every few tokens; nothing is computed between two pieces.

        Raises:
            FolioError: prompt and answer would be longer than the model can read.
        """
        from transformers import set_seed

        from stages.prompt import prompt_ids

        settings = self._settings
        record = {"question": question, "passage": passage}
        ids = prompt_ids(self._tokenizer, self._form, record, with_passage=True)
        if len(ids) + settings.maximum_tokens > self._room:
            raise FolioError(
                f"the prompt has {len(ids)} tokens, and with an answer of ask.maximum_tokens="
                f"{settings.maximum_tokens} the model can read {self._room}; ask something shorter, or lower "
                "ask.passages or ask.maximum_tokens"
            )
        set_seed(settings.seed)
        start = time.perf_counter()
        for said in self._decoder.stream(ids, self._stop, settings.maximum_tokens, **settings.sampling()):
            seconds = time.perf_counter() - start
            ended = self._ended(said.stop is not None, len(said.ids), seconds)
            yield Reply(self._text(said.ids, ended), len(said.ids), seconds, ended)
            if ended:
                return

    def _ended(self, stopped: bool, tokens: int, seconds: float) -> str | None:
        if stopped:
            return "complete"
        if tokens >= self._settings.maximum_tokens:
            return "cut off by ask.maximum_tokens"
        return "cut off by ask.seconds" if seconds >= self._settings.seconds else None

    def _text(self, ids: list[int], ended: str | None) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True).strip()
        # A letter of several tokens may not be whole yet.
        text = text if ended else text.rstrip("\ufffd")
        return UNPRINTABLE.sub("\ufffd", text).replace("\r", "\n")


def load_speaker(source: Any, name: str, form: Format, settings: Ask) -> Speaker:
    """The base or the tuned model, ready to answer in a format; `source` is the option of the group `model`.

    Raises:
        FolioError: there is no such model yet, or it cannot be loaded.
    """
    from stages.contenders import load

    return Speaker(*load(formatted(form, source), name, settings.bits, "ask.bits"), form, settings)


def checked(question: str, most: int) -> str:
    """A question without blanks around it, and without what is no Unicode text.

    Raises:
        FolioError: nothing is left, or it has more than `most` characters.
    """
    question = question.encode("utf-8", "replace").decode("utf-8").strip()
    if not question:
        raise FolioError("the question is empty")
    if len(question) > most:
        raise FolioError(f"the question has {len(question)} characters; ask.characters={most} are the most")
    return question
