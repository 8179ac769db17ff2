"""The stages from pairs to answers in formats other than the model's own: all ask in the same way."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from safetensors.torch import load_file

from stages import align, evaluate, jsonl, merge, tokenize, tokens, train
from stages.artifact import read_json
from stages.errors import FolioError
from stages.formatted import formatted, new_tokens
from stages.language_model import load_model, load_tokenizer, read_tokenizer
from stages.option import build
from tests.imports import ROOT
from tests.method.learning import with_tokenizer

QUICK = (
    "model=folder", "model.dtype=float32", "train.epochs=2", "train.batch=8", "train.questions=2",
    "train.learning_rate=0.01", "train.answer_tokens=3", "train.metrics=[]", "train.patience=9",
    "tokenize.test_share=0.3", "tokenize.validation_share=0.3", "evaluate.maximum_tokens=3",
    "evaluate.maximum_questions=4", "evaluate.maximum_trained=2",
)  # fmt: skip

SOURCE = Path("data/sources/pairs.jsonl")


@pytest.fixture(autouse=True)
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLIO_CACHE", str(tmp_path / "cache"))
    shared = {"source": "pairs", "document": "d.txt", "line": 1, "pages": None, "answer": "B. the team"}
    records = [
        {"id": f"{n:02}", "chunk": f"c{n}", "question": f"Which of {n}?",
         "passage": f"the team of {n} reports", "options": [f"A. no {n}", "B. the team"]} | shared
        for n in range(24)
    ]  # fmt: skip
    jsonl.write(SOURCE, records)


def configured(model: Path, *words: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", [*QUICK, f"model.path={model}", *words])


def run(stage: Any, config: DictConfig) -> None:
    stage.main.__wrapped__(config)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_control_tokens_from_pairs_to_answers(tiny_model: Path, method: str) -> None:
    config = configured(tiny_model, "format=control", f"method={method}")
    source = formatted(build(config, "format"), build(config, "model"))
    assert new_tokens(source) == [300, 301]
    run(tokenize, config)
    rows = tokens.read(tokenize.TOKENS / "train.parquet")
    assert all(row.prompt.count(300) == 1 and 301 not in row.prompt for row in rows)
    assert all("A. no" in load_tokenizer(source.folder()).decode(row.prompt) for row in rows)

    run(train, config)
    assert read_json(train.METRICS)["preflight"]["notes"] == []
    run(merge, config)
    assert read_json(merge.METRICS)["difference"] < 1e-4
    base, merged = (load_model(folder, "float32") for folder in (source.folder(), merge.MERGED))
    assert merged.config.vocab_size == 302
    old, new = (one.get_input_embeddings().weight.detach() for one in (base, merged))
    assert torch.equal(old[:300], load_model(tiny_model, "float32").get_input_embeddings().weight)
    assert not torch.equal(old[300], new[300])
    assert torch.equal(old[:300], new[:300]) == (method != "full")
    # Anybody who asks the merged model by its own template asks as it was trained.
    tokenizer = load_tokenizer(merge.MERGED)
    assert tokenizer.convert_tokens_to_ids("[good]") == 300

    said = {}
    for control in ("good", "bad"):
        for name in ("base", "tuned"):
            config.evaluate.model, config.evaluate.control = name, control
            run(evaluate, config)
            answers = list(jsonl.read(evaluate.ANSWERS / f"{name}.jsonl"))
            said[name, control] = [row["token_losses"] for row in answers]
    # Rows of new tokens are the same until they learn, and then they are not.
    assert said["base", "good"] == said["base", "bad"]
    assert said["tuned", "good"] != said["tuned", "bad"]
    config.evaluate.control = "ugly"
    with pytest.raises(FolioError, match="the control ugly is none of good, bad"):
        run(evaluate, config)


def test_a_base_model_without_a_chat_template_is_asked_plainly(tiny_model: Path, tmp_path: Path) -> None:
    bare = with_tokenizer(load_model(tiny_model, "float32"), tmp_path / "bare", tiny_model)
    tokenizer = read_tokenizer(bare)
    tokenizer.chat_template = None
    (bare / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(bare)
    with pytest.raises(FolioError, match=r"no chat template; .* such as format=plain"):
        run(tokenize, configured(bare))
    config = configured(bare, "format=plain")
    for stage in (tokenize, train, merge, evaluate):
        run(stage, config)
    assert read_json(train.METRICS)["preflight"]["notes"] == []
    tokenizer = load_tokenizer(merge.MERGED)
    row = next(row for row in tokens.read(tokenize.TOKENS / "train.parquet") if row.context == "open")
    asked = tokenizer.decode(row.prompt)
    assert asked.startswith("Passage: the team of ")
    assert asked.endswith("?\nA. no " + asked.split("A. no ")[1])
    turn = {"role": "user", "content": asked.removesuffix("\nAnswer:")}
    assert tokenizer.apply_chat_template([turn], tokenize=False) == asked
    assert tokenizer.decode(row.completion) == " B. the team</s>"


def test_a_record_that_spells_a_token_out_is_left_out_and_counted(tiny_model: Path) -> None:
    records = list(jsonl.read(SOURCE))
    config = configured(tiny_model, "format=control")
    run(tokenize, config)
    sides = [list(jsonl.read(path)) for path in (tokenize.TRAINED, tokenize.TEST)]
    spelt = {side[0]["id"] for side in sides}  # one that would be trained on, one that would be asked
    jsonl.write(
        SOURCE, [row | {"question": "Is [good] good?"} if row["id"] in spelt else row for row in records]
    )
    run(tokenize, config)
    assert read_json(tokenize.METRICS)["rows"]["dropped"] == {"refused_by_the_format": 2}
    for side, path in zip(sides, (tokenize.TRAINED, tokenize.TEST), strict=True):
        assert [row["id"] for row in jsonl.read(path)] == [row["id"] for row in side[1:]]


def test_alignment_goes_on_from_the_rows_that_training_left(tiny_model: Path) -> None:
    config = configured(
        tiny_model, "format=control", "objective=dpo", "align.batch=2", "align.accumulation=1"
    )
    for stage in (tokenize, train):
        run(stage, config)
    form = build(config, "format")
    for name, numbers in (("train", range(6)), ("validation", range(6, 8))):
        records = [
            {"id": f"{n}", "group": f"{n}", "chosen": "the team", "rejected": "no",
             "messages": form.turns({"question": f"Which of {n}?"}, with_passage=False)}
            for n in numbers
        ]  # fmt: skip
        jsonl.write(align.PREFERENCES / f"{name}.jsonl", records)
    run(align, config)
    for stage in (merge, evaluate):
        run(stage, config)
    assert read_json(merge.METRICS)["difference"] < 1e-4
    learnt, aligned = (rows_of(folder) for folder in (train.ADAPTER, align.ALIGNED))
    assert learnt.shape == aligned.shape == (2, 64)
    assert 0 < (learnt - aligned).abs().max() < 0.01
    merged = load_model(merge.MERGED, "float32").get_input_embeddings().weight.detach()
    assert torch.equal(merged[300:], aligned)


def rows_of(folder: Path) -> torch.Tensor:
    weights = load_file(folder / "adapter_model.safetensors")
    (found,) = (weight for name, weight in weights.items() if "trainable_tokens_delta" in name)
    return found
