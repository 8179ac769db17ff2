"""A model on this machine answers questions from their passages alone."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from stages import cache
from stages.decode import Decoder
from stages.language_model import context, load_model, load_tokenizer, stop_tokens
from stages.ledger import Ledger
from stages.option import LocalModel, setting
from stages.prompt import chat_ids

# Raised when the way of asking changes, so that the ledger's older replies no longer count.
FORM = 1
QUESTION = "Answer the question from the passage.\n\nPassage: {passage}\n\nQuestion: {question}"


@setting
class Local(LocalModel):
    """The model's likeliest words after a question on a passage, in its own chat template."""

    batch: int = Field(ge=1)
    maximum_tokens: int = Field(ge=1)
    watch: str
    code: str

    def __call__(
        self, questions: Sequence[tuple[str, str]], ledger: Ledger
    ) -> list[tuple[str | None, str | None]]:
        """Give for each (passage, question) the answer, or None and why there is none.

        `too_long`: prompt and answer would not fit the model's context. A batch is stored whole, so a run
        that was killed computes the same batches again; where the ledger knows every answer no
        model is loaded.
        """
        keys = [self._key(passage, question) for passage, question in questions]
        replies = ledger.get(keys)
        missing = {key: pair for key, pair in zip(keys, questions, strict=True) if key not in replies}
        for fresh in self._ask(missing) if missing else ():
            ledger.put(fresh)
            replies.update(fresh)
        return [(replies[key], "too_long" if replies[key] is None else None) for key in keys]

    def _key(self, passage: str, question: str) -> str:
        settings = self.identity, self.model.dtype, self.maximum_tokens
        return cache.digest("answer", FORM, *settings, _text(passage, question))

    def _ask(self, missing: dict[str, tuple[str, str]]) -> Iterator[dict[str, str | None]]:
        """Yield the answers of one batch after the other, by key."""
        from tqdm import tqdm

        folder = self.model.folder()
        tokenizer, model = load_tokenizer(folder), load_model(folder, self.model.dtype)
        prompts = {
            key: chat_ids(tokenizer, [{"role": "user", "content": _text(*pair)}])
            for key, pair in missing.items()
        }
        longest = context(model) - self.maximum_tokens
        yield {key: None for key, ids in prompts.items() if len(ids) > longest}
        # Similar lengths together, the longest first: too large a batch fails at once, not at the end.
        order = sorted((-len(ids), key) for key, ids in prompts.items() if len(ids) <= longest)
        decoder, stop = Decoder(model, tokenizer.pad_token_id), stop_tokens(model, tokenizer)
        for start in tqdm(range(0, len(order), self.batch), desc="answers", unit="batch"):
            batch = [key for _, key in order[start : start + self.batch]]
            rows = decoder.complete([prompts[key] for key in batch], stop, self.maximum_tokens)
            texts = tokenizer.batch_decode([row.ids for (row,) in rows], skip_special_tokens=True)
            yield {key: text.strip() for key, text in zip(batch, texts, strict=True)}


def _text(passage: str, question: str) -> str:
    return QUESTION.format(passage=passage, question=question)
