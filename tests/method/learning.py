"""A model tuned for a dozen steps on a few sentences, without a trainer."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from stages.language_model import load_model
from stages.likelihood import Labelled, label_losses
from stages.option import build
from stages.packing import pack
from stages.tokens import Row
from tests.imports import ROOT

NAMES = sorted(path.stem for path in (ROOT / "conf/method").glob("*.yaml"))
ADAPTERS = [name for name in NAMES if name != "full"]
QUANTISED = ("int8", "qlora")
PAD = 1
# From NIST SP 800-61r2, section 2.1.
PAIRS = [
    ("What is an event?", "An event is any observable occurrence in a system or network."),
    ("What are adverse events?", "Adverse events are events with a negative consequence."),
    ("What is a computer security incident?", "A violation or imminent threat of violation of policies."),
    ("Name an event.", "Events include a user connecting to a file share."),
]


def method(name: str, **changes: Any) -> Any:
    """The option as conf/ has it, small and without dropout."""
    small = {} if name == "full" else {"r": 4, "alpha": 8, "dropout": 0.0}
    config = OmegaConf.load(ROOT / f"conf/method/{name}.yaml")
    return build(OmegaConf.create({"method": OmegaConf.merge(config, small | changes)}), "method")


def rows(folder: Path) -> list[Row]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [
        Row(f"{n}", "p", "closed", answer, tokenizer.encode(question),
            [*tokenizer.encode(answer), tokenizer.eos_token_id])
        for n, (question, answer) in enumerate(PAIRS)
    ]  # fmt: skip


def attach(option: Any, folder: Path, dtype: str) -> Any:
    torch.manual_seed(0)
    return option.attach(load_model(folder, option.dtype(dtype), **option.quantization(dtype)))


def learn(model: Any, folder: Path, dtype: str, steps: int = 12, rate: float = 5e-3) -> list[float]:
    """Train; the losses (nats) before each step and after the last, each taken in evaluation mode."""
    batch, compute = pack(rows(folder), PAD, 0.0, "prefix"), getattr(torch, dtype)
    labelled = Labelled(model)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=rate)
    losses = []
    for step in range(steps + 1):
        model.eval()
        with torch.no_grad():
            losses.append(label_losses(model, labelled, batch, compute).sum().item())
        if step < steps:
            model.train()
            optimizer.zero_grad()
            label_losses(model, labelled, batch, compute).sum().backward()
            optimizer.step()
    return losses


def biased_llama(folder: Path, tiny: Path) -> Path:
    """Two layers with biases, input and output embeddings apart."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=300, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, attention_bias=True, mlp_bias=True, tie_word_embeddings=False,
    )  # fmt: skip
    return with_tokenizer(LlamaForCausalLM(config), folder, tiny)


def layer_normed(folder: Path, tiny: Path) -> Path:
    """Layer norms with biases, and tied embeddings of other names than Llama's."""
    torch.manual_seed(1)
    config = GPTNeoXConfig(
        vocab_size=300, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=True,
    )  # fmt: skip
    return with_tokenizer(GPTNeoXForCausalLM(config), folder, tiny)


def gpt2(folder: Path, tiny: Path) -> Path:
    """Two layers, positions that are learnt, tied embeddings of GPT-2's names."""
    torch.manual_seed(2)
    config = GPT2Config(vocab_size=300, n_positions=256, n_embd=32, n_layer=2, n_head=2)
    return with_tokenizer(GPT2LMHeadModel(config), folder, tiny)


def with_tokenizer(model: Any, folder: Path, tiny: Path) -> Path:
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(folder)
    return folder
