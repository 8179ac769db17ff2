"""What a model is asked, as token ids: the chat template's own text, with BOS once."""

from typing import TYPE_CHECKING

from stages.errors import FolioError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def question_text(question: str, passage: str | None) -> str:
    """The user's turn: the passage first, so that questions on one passage share a prefix."""
    if passage is None:
        return question
    return f"Answer the question from the passage.\n\nPassage: {passage}\n\nQuestion: {question}"


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", question: str, passage: str | None) -> list[int]:
    """Token ids of a question's prompt, up to where the assistant's answer begins.

    Raises:
        FolioError: the ids begin with two BOS.
    """
    return chat_ids(tokenizer, [{"role": "user", "content": question_text(question, passage)}])


def chat_ids(tokenizer: "PreTrainedTokenizerBase", turns: list[dict[str, str]]) -> list[int]:
    """Token ids of a conversation, up to where the assistant's next answer begins.

    The template writes BOS itself, so the tokenizer must not add another.

    Raises:
        FolioError: the ids begin with two BOS.
    """
    # A model that thinks aloud would spend the answer's tokens on it; other templates ignore this.
    text = tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if tokenizer.bos_token_id is not None and ids[:2] == [tokenizer.bos_token_id] * 2:
        raise FolioError("the chat template writes BOS twice; mend the model's chat template")
    return ids


def answer_ids(tokenizer: "PreTrainedTokenizerBase", answer: str) -> list[int]:
    """Token ids of an answer, closed by EOS so that the model learns to stop."""
    ids: list[int] = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id]
