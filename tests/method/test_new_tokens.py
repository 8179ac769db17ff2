"""Tokens that a format adds: their rows learn, no other row does, and the merged model has them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim import AdamW

from stages.errors import FolioError
from stages.formatted import formatted, new_tokens
from stages.language_model import load_model, load_tokenizer
from stages.likelihood import Labelled, label_losses
from stages.merge import check, compare, log_probs
from stages.packing import pack
from stages.prompt import answer_ids, prompt_ids
from stages.tokens import Row
from tests.forms import form
from tests.method.learning import NAMES, PAIRS, QUANTISED, biased_llama, gpt2, method

PAD = 1
GOOD, BAD = 300, 301
CONTROL = form("control")
# The embedded model's kind, embeddings apart, and GPT-2's names.
KINDS: dict[str, Any] = {"tied": None, "apart": biased_llama, "gpt2": gpt2}
# bitsandbytes quantises linear layers alone, of which GPT-2 has none but its output.
CASES = [(name, kind) for name in NAMES for kind in KINDS if name not in QUANTISED or kind != "gpt2"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Any:
    """Each model with the tokens of `control`."""
    place = tmp_path_factory.mktemp("sources")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLIO_CACHE", str(place / "cache"))
        made = {}
        for name, make in KINDS.items():
            folder = make(place / name, tiny_model) if make else tiny_model
            option = SimpleNamespace(identity=name, dtype="float32", folder=lambda folder=folder: folder)
            made[name] = formatted(CONTROL, option)
        yield made


def rows(folder: Path) -> list[Row]:
    """Only [good] stands in them."""
    tokenizer = load_tokenizer(folder)
    return [
        Row(f"{n}", "p", "closed", answer, prompt_ids(tokenizer, CONTROL, {"question": question}, False),
            answer_ids(tokenizer, answer))
        for n, (question, answer) in enumerate(PAIRS)
    ]  # fmt: skip


def learn(model: Any, folder: Path, steps: int = 6) -> None:
    labelled, batch = Labelled(model), pack(rows(folder), PAD, 0.0, "prefix")
    optimizer = AdamW(
        [weight for weight in model.parameters() if weight.requires_grad], lr=5e-3, weight_decay=0.0
    )
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        label_losses(model, labelled, batch, torch.float32).sum().backward()
        optimizer.step()
    model.eval()


def attached(option: Any, source: Any) -> Any:
    torch.manual_seed(0)
    base = load_model(source.folder(), option.dtype("float32"), **option.quantization("float32"))
    return option.attach(base, new_tokens(source))


def tables(folder: Path) -> tuple[torch.Tensor, torch.Tensor, bool]:
    loaded = load_model(folder, "float32")
    first, last = loaded.get_input_embeddings().weight, loaded.get_output_embeddings().weight
    return first.detach(), last.detach(), first is last


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_rows_of_new_tokens_learn_and_survive_saving_and_merging(
    name: str, kind: str, sources: Any, tmp_path: Path
) -> None:
    option, source = method(name), sources[kind]
    model = attached(option, source)
    learn(model, source.folder())
    (tmp_path / "learnt").mkdir()
    option.save(model, tmp_path / "learnt", "the base")

    # A second run goes on from what was saved.
    again = attached(option, source)
    option.restore(again, tmp_path / "learnt")
    before, after = (log_probs(one.eval(), rows(source.folder()), PAD) for one in (model, again))
    assert compare(before, after)["difference"] < 1e-5

    tuned = option.load(source.folder(), "float32", tmp_path / "learnt")
    before = log_probs(tuned, rows(source.folder()), PAD)
    assert before[0].shape[-1] == 302
    merged = option.merge(tuned, "float32")
    merged.save_pretrained(tmp_path / "merged")
    check(
        compare(before, log_probs(load_model(tmp_path / "merged", "float32"), rows(source.folder()), PAD)),
        1e-5,
    )

    old, _, tied = tables(source.folder())
    new, output, still = tables(tmp_path / "merged")
    assert (len(new), len(output), still) == (302, 302, tied)
    assert not torch.equal(new[GOOD], old[GOOD])
    # In an output that is tied every token is weighed at each step, one that stands in no prompt too.
    assert torch.equal(new[BAD], old[BAD]) == (not tied)
    if name != "full":
        assert torch.equal(new[:GOOD], old[:GOOD])
        assert tied or torch.equal(output, tables(source.folder())[1])


@pytest.mark.parametrize("kind", KINDS)
def test_in_half_precision_the_rows_learn_in_float32(kind: str, sources: Any) -> None:
    option = method("lora")
    model = option.attach(load_model(sources[kind].folder(), "bfloat16"), new_tokens(sources[kind]))
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    (added,) = (weight for name, weight in learning.items() if "trainable_tokens_delta" in name)
    assert added.shape[0] == 2
    assert {weight.dtype for weight in learning.values()} == {torch.float32}
    still = {weight.dtype for weight in model.parameters() if not weight.requires_grad}
    assert torch.bfloat16 in still
    assert option.parameters(model)[0] == sum(weight.numel() for weight in learning.values())


def test_without_new_tokens_an_adapter_is_written_as_before(
    sources: Any, tiny_model: Path, tmp_path: Path
) -> None:
    texts = []
    for given in ((), None):
        torch.manual_seed(0)
        base = load_model(tiny_model, "float32")
        model = method("lora").attach(base, *(() if given is None else (given,)))
        folder = tmp_path / str(given)
        folder.mkdir()
        method("lora").save(model, folder, "the base")
        texts.append((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert '"trainable_token_indices": null' in texts[0]


def test_embeddings_that_learn_whole_have_no_rows_apart(sources: Any, tmp_path: Path) -> None:
    source, option = sources["tied"], method("lora", modules_to_save=["embed_tokens"])
    model = attached(option, source)
    assert not any("trainable_tokens" in name for name, _ in model.named_parameters())
    learn(model, source.folder())
    (tmp_path / "learnt").mkdir()
    option.save(model, tmp_path / "learnt", "the base")
    tuned = option.load(source.folder(), "float32", tmp_path / "learnt")
    before = log_probs(tuned, rows(source.folder()), PAD)
    merged = option.merge(tuned, "float32")
    check(compare(before, log_probs(merged, rows(source.folder()), PAD)), 1e-5)


def test_an_adapter_of_the_embedding_itself_is_refused(sources: Any) -> None:
    option = method("lora", target_modules=["embed_tokens", "q_proj"])
    with pytest.raises(FolioError, match=r"method\.target_modules: model\.embed_tokens gets new tokens"):
        attached(option, sources["apart"])


def test_a_tied_output_with_a_bias_is_refused(sources: Any) -> None:
    base = load_model(sources["tied"].folder(), "float32")
    base.lm_head.bias = torch.nn.Parameter(torch.zeros(302))
    with pytest.raises(FolioError, match="whose tied output has a bias; set method=full"):
        method("lora").attach(base, [300])
