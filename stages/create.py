"""A tokenizer from the training texts and a model of random weights: python -m stages.create [override]"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import jsonl
from stages.account import Account
from stages.artifact import whole_folder, write_json
from stages.byte_pairs import train_tokenizer
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.fertility import compared
from stages.language_model import read_tokenizer
from stages.lot import lot
from stages.model.scratch import Scratch
from stages.option import build, called
from stages.settings.tokenize import Tokenize
from stages.tokenize import divide, read

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

METRICS = Path("metrics/create.json")


def texts_of(record: jsonl.Record) -> Iterator[str]:
    """Everything that a model reads or writes of a record."""
    yield from (record[key] for key in ("passage", "question", "answer") if record.get(key))
    yield from record.get("options") or ()
    yield from (turn["content"] for turn in record.get("history") or () if turn["content"])


def corpus(records: Iterable[jsonl.Record], settings: Tokenize, account: Account) -> dict[str, list[str]]:
    """Each text of the training side once, and of the test side those that are not among them.

    Raises:
        FolioError: a side stays empty.
    """
    sides = divide(records, settings, account)
    account.keep(len(sides["train"]))
    account.add(0, {side: len(sides[side]) for side in ("validation", "test")})
    # A dictionary keeps the order, a set does not.
    found = {
        side: dict.fromkeys(text for record in rows for text in texts_of(record))
        for side, rows in sides.items()
    }
    return {"train": list(found["train"]), "held_out": [t for t in found["test"] if t not in found["train"]]}


def random_model(option: Scratch, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
    """A model of the option's sizes in float32; its weights are the seed's alone."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    make = {"gpt2": _gpt2, "llama": _llama}[option.architecture]
    config = make(option, {"vocab_size": len(tokenizer), "tie_word_embeddings": True} | ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(option.seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config = GenerationConfig(**ids)
    return model


def _gpt2(option: Scratch, common: dict[str, Any]) -> Any:
    from transformers import GPT2Config

    return GPT2Config(
        n_layer=option.layers,
        n_head=option.heads,
        n_embd=option.width,
        n_positions=option.context,
        embd_pdrop=option.dropout,
        attn_pdrop=option.dropout,
        resid_pdrop=option.dropout,
        **common,
    )


def _llama(option: Scratch, common: dict[str, Any]) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        num_hidden_layers=option.layers,
        num_attention_heads=option.heads,
        hidden_size=option.width,
        # A gate is a third matrix: with these there are as many weights as in a layer four times as wide.
        intermediate_size=8 * option.width // 3,
        max_position_embeddings=option.context,
        attention_dropout=option.dropout,
        **common,
    )


def stock_tokenizer(option: Any) -> "PreTrainedTokenizerBase":
    """The tokenizer that the own one is compared with; it needs no chat template.

    Raises:
        FolioError: the model's folder holds none.
    """
    folder = option.folder()
    try:
        return read_tokenizer(folder)
    except FolioError as error:
        raise FolioError(f"create.stock: {error}") from error


def write(target: Path, tokenizer: "PreTrainedTokenizerBase", model: "PreTrainedModel") -> None:
    """Write both into one folder, whole or not at all."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    with whole_folder(target) as folder:
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)


def sampled(texts: list[str], most: int) -> list[str]:
    """At most so many of the texts, those that hash lowest, in their order."""
    chosen = set(sorted(texts, key=lot)[:most])
    return [text for text in texts if text in chosen]


@entrypoint
def main(config: DictConfig) -> None:
    """Write models/base and metrics/create.json."""
    settings, option, account = build(config, "create"), build(config, "model"), Account("records")
    if not isinstance(option, Scratch):
        raise FolioError(f"model={option.name} is there already; only model=scratch is made")
    option.check()
    splitting = build(config, "tokenize")
    sides = corpus(read(splitting, account), splitting, account)
    tokenizer, stock = train_tokenizer(sides["train"], option), stock_tokenizer(settings.stock)
    model = random_model(option, tokenizer)
    write(Path(option.path), tokenizer, model)
    few = {side: sampled(texts, settings.texts) for side, texts in sides.items()}
    figures = {
        "records": account.as_dict(),
        "texts": {side: len(texts) for side, texts in sides.items()},
        "parameters": model.num_parameters(),
        "special_tokens": len(option.special_tokens()),
        "stock": called(config.create.stock),
        "vocabularies": {"own": len(tokenizer), "stock": len(stock)},
        "fertility": compared(tokenizer, stock, few),
    }
    write_json(METRICS, figures)
    texts, weights = len(sides["train"]), model.num_parameters()
    print(f"create: {len(tokenizer)} tokens from {texts} texts, {weights} random weights")


if __name__ == "__main__":
    main()
