"""A byte-level BPE (Sennrich et al., 2016; bytes as in GPT-2), trained from texts."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stages.errors import FolioError
from stages.model.scratch import Scratch

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

# Answers come behind a blank that is a token of its own, in training as in use.
TEMPLATE = (
    "{% for turn in messages %}"
    "{% if turn['role'] == 'user' %}Question: {{ turn['content'] }}\n"
    "{% elif turn['role'] == 'assistant' %}Answer: {{ turn['content'] }}{{ eos_token }}\n"
    "{% else %}{{ turn['content'] }}\n"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Answer: {% endif %}"
)
# The time that training takes grows with the square of a word's length: 12 s for one of 200,000 letters.
LONGEST = 256
RUN = re.compile(rf"\S{{{LONGEST}}}|\s{{{LONGEST}}}")


def train_tokenizer(texts: Sequence[str], model: Scratch) -> "PreTrainedTokenizerFast":
    """Train a tokenizer of `model.vocabulary` tokens, with a plain chat template.

    Raises:
        FolioError: the texts do not give so many tokens.
    """
    from transformers import PreTrainedTokenizerFast

    trained = _trained(texts, model)
    if (reached := trained.get_vocab_size()) < model.vocabulary:
        raise FolioError(
            f"{len(texts)} training texts give a vocabulary of {reached} tokens, fewer than "
            f"model.vocabulary={model.vocabulary}: set {reached} or less, or add documents or sources"
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained,
        eos_token=model.eos,
        pad_token=model.pad,
        bos_token=model.bos,
        extra_special_tokens=model.special,
        model_max_length=model.context,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = ("{{ bos_token }}" if model.bos else "") + TEMPLATE
    return tokenizer


def pieces(text: str) -> Iterator[str]:
    """The text, cut behind each `LONGEST` characters without a blank, or of blanks alone."""
    start = 0
    for run in RUN.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]


def _trained(texts: Sequence[str], model: Scratch) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=model.vocabulary,
        min_frequency=model.minimum_frequency,
        special_tokens=model.special_tokens(),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((piece for text in texts for piece in pieces(text)), trainer)
    if model.bos:
        # The chat template writes it itself; a text that is read without one begins with it too.
        bos = [(model.bos, tokenizer.token_to_id(model.bos))]
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{model.bos} $A", special_tokens=bos)
    return tokenizer
