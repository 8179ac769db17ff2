"""Tokenizers of the kinds that models come with, trained on a few sentences."""

import string
from typing import Any

TEXT = [
    "The incident response team handles the incident. Question: who? Answer: the team. Passage: 1 2 3 of 4",
    "[INST] ### Instruction: ### Input: ### Response: Below is an instruction that describes a task. A. B.",
] * 20
KINDS = ("bare", "bos", "bos_eos", "gpt2", "llama")


def made(kind: str) -> Any:
    """A tokenizer without a chat template.

    `bare` adds nothing to a text, `bos` BOS, `bos_eos` both; of `gpt2` BOS and EOS are one; `llama` puts a
    space before whatever it is given, as SentencePiece does.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    if kind == "llama":
        bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        bpe.decoder = decoders.Metaspace(prepend_scheme="always")
        alphabet = sorted(string.printable)
    else:
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    marks = ["<|endoftext|>"] if kind == "gpt2" else ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=marks, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXT, trainer)
    if kind in ("bos", "bos_eos", "llama"):
        whole = "<s> $A </s>" if kind == "bos_eos" else "<s> $A"
        pair = [(mark, bpe.token_to_id(mark)) for mark in marks]
        bpe.post_processor = TemplateProcessing(single=whole, special_tokens=pair)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=marks[0], eos_token=marks[-1])
