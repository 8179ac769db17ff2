import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dvc.repo import Repo
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from stages import appraise, checkpoints, jsonl, train
from stages.account import Account
from stages.artifact import read_json
from stages.compose import validate
from stages.critic_trainer import BETTER, probabilities
from stages.errors import FolioError
from stages.model.folder import Folder
from stages.option import build
from stages.reward.classifier import Classifier
from stages.trainer import Place
from stages.worth import worth
from tests.imports import ROOT
from tests.training import StopAt

pytestmark = pytest.mark.usefixtures("own_folder")
PLAIN = [
    "appraise.stages=[reward]", "appraise.epochs=3", "appraise.learning_rate=0.01", "appraise.batch=4",
    "appraise.patience=9", "appraise.save_steps=3", "appraise.scheduler=constant", "appraise.warmup_share=0",
]  # fmt: skip
WORDS = "who what handles reports team incident good bad by hand and wait".split()


def base(folder: Path, positions: int = 24) -> Path:
    """A tiny encoder of random weights, without a head, and its tokenizer, which marks a second text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    plain = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    names = ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(tokenizer_object=plain, model_input_names=names, **special).save_pretrained(
        folder
    )
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "max_position_embeddings": positions, "vocab_size": len(words)}
    torch.manual_seed(0)
    BertModel(BertConfig(initializer_range=0.2, **sizes)).save_pretrained(folder)
    return folder


def record(n: int, **changes: Any) -> dict[str, Any]:
    """The chosen answer says good, the rejected one bad; every other chosen one is the longer."""
    asked = f"{WORDS[n // 2 % 6]} {WORDS[n // 3 % 6]}"
    tail = WORDS[8 + n % 4]
    chosen, rejected = f"good {tail}", f"bad {tail}"
    chosen, rejected = (chosen + " and wait", rejected) if n % 2 else (chosen, rejected + " and wait")
    messages = [{"role": "user", "content": f"Passage: team\n\nQuestion: {asked}"}]
    row = {"id": f"{n}", "group": f"g{n // 2}", "messages": messages, "question": asked}
    return row | {"chosen": chosen, "rejected": rejected} | changes


def write_pairs(*more: dict[str, Any], train_count: int = 18, validation_count: int = 10) -> None:
    numbers = range(train_count, train_count + validation_count)
    jsonl.write(appraise.PREFERENCES / "train.jsonl", [*map(record, range(train_count)), *more])
    jsonl.write(appraise.PREFERENCES / "validation.jsonl", map(record, numbers))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base(tmp_path_factory.mktemp("encoder"))


def composed(*words: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", list(words))


def configured(encoder: Path, *words: str) -> DictConfig:
    return composed(*PLAIN, "model@appraise.base=folder", f"appraise.base.path={encoder}", *words)


def run(config: DictConfig) -> None:
    appraise.main.__wrapped__(config)  # type: ignore[attr-defined]


def prepared(config: DictConfig, folder: Path) -> Any:
    settings = build(config, "appraise")
    tokenizer, model = appraise.load(settings.base.folder(), settings)
    sides = appraise.read(tokenizer, settings, Account("pairs"))
    place = Place(folder, settings.accumulation, None, appraise.CURVES, appraise.SPEED)
    return appraise.prepare(settings, model, tokenizer, sides, place)


def reward() -> Classifier:
    model = Folder(name="folder", path=str(appraise.REWARD), dtype="auto", watch="")
    options: dict[str, Any] = {"label": "better", "question": True, "watch": "", "code": ""}
    return Classifier(name="classifier", weight=1.0, model=model, batch=3, **options)


def alone(question: str, answer: str, most: int) -> float:
    """The probability of one answer by the model's own forward pass, cut by hand: the longer text first."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(appraise.REWARD)
    texts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (question, answer)]
    while len(texts[0]) + len(texts[1]) + 3 > most:
        max(reversed(texts), key=len).pop()
    ids = [2, *texts[0], 3, *texts[1], 3]
    kinds = [0] * (len(texts[0]) + 2) + [1] * (len(texts[1]) + 1)
    model = AutoModelForSequenceClassification.from_pretrained(appraise.REWARD).eval()
    assert model.config.id2label == {0: "worse", 1: "better"}
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([kinds])).logits
    return float(logits.softmax(-1)[0, BETTER])


def written() -> dict[str, bytes]:
    tops = ("models/reward", "plots/appraise", "metrics")
    return {str(path): path.read_bytes() for top in tops for path in Path(top).rglob("*") if path.is_file()}


def test_an_answer_without_another_one_is_counted_as_unpaired(encoder: Path) -> None:
    write_pairs(record(90, rejected=None), record(91, chosen=None))
    settings = build(configured(encoder), "appraise")
    tokenizer, _ = appraise.load(settings.base.folder(), settings)
    account = Account("pairs")
    appraise.read(tokenizer, settings, account)
    assert account.dropped == {"unpaired": 2}


def test_the_stage_learns_counts_and_writes_the_same_bytes_again(
    encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 40 words of an answer are more than 20 tokens.
    long = record(1, chosen="good " * 40)
    alike = record(2, chosen="wait " * 30 + "good", rejected="wait " * 30 + "bad")
    write_pairs(long, alike, record(3, rejected="..."))
    config = configured(encoder, "appraise.maximum_tokens=20")
    run(config)
    first = written()
    assert {"config.json", "model.safetensors", "tokenizer.json", "trainer_state.json"} <= {
        path.name for path in appraise.REWARD.iterdir()
    }
    found = read_json(appraise.METRICS)
    dropped = {"alike_as_far_as_read": 1, "empty_answer": 1}
    assert found["pairs"] == {"in": 31, "kept": 29, "dropped": dropped}
    assert (found["train"], found["validation"], found["cut"]) == (19, 10, {"train": 1, "validation": 0})
    assert (found["n"], found["groups"]) == (10, 5)
    assert found["loss"]["after"] < 0.2 < found["loss"]["before"]
    assert found["after"]["pair_accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["after"]["accuracy"]["value"] == found["after"]["auc"]["value"] == 1.0
    assert found["length"]["pair_accuracy"]["value"] == 0.5
    assert found["verdict"] == "better than chance and than choosing the longer answer (0.500)"
    for plot in ("train/loss", "validation/loss", "validation/rewards/accuracies", "learning_rate"):
        assert (appraise.CURVES / f"plots/metrics/{plot}.tsv").is_file()
    said = capsys.readouterr().out
    assert "1 of 58 answers are cut off" in said
    assert "10 held-out pairs it is better than chance" in said
    assert not list(Path("cache/checkpoints").glob("*/checkpoint-*"))

    run(config)
    assert written() == first


def test_the_reward_is_the_probability_that_was_trained(encoder: Path) -> None:
    write_pairs()
    run(configured(encoder, "appraise.maximum_tokens=20"))
    asked = "who handles team"
    texts = ["good by", "bad by", "wait " * 30 + "good", "good " * 5, " \n", "..."]
    rows = [{"question": asked, "answer": text} for text in texts]
    rows.append({"question": "who handles " * 12, "answer": "bad and wait"})
    own = reward()
    own.check()
    found = worth([own], rows)
    assert [value.total for value in found[4:6]] == [0.0, 0.0]
    for row, value in zip(rows, found, strict=True):
        if any(map(str.isalnum, row["answer"])):
            assert value.total == pytest.approx(alone(row["question"], row["answer"], 20), abs=2e-6)
    assert found[0].total > 0.8
    assert found[1].total < 0.2
    # What the stage says of the held-out pairs is what the reward says of them.
    records = list(jsonl.read(appraise.PREFERENCES / "validation.jsonl"))
    scores = own(
        [{"question": row["question"], "answer": row[side]} for row in records for side in ("chosen",)]
    )
    state = read_json(appraise.REWARD / "trainer_state.json")
    best = next(
        entry
        for entry in state["log_history"]
        if entry["step"] == state["best_step"] and "eval_loss" in entry
    )
    assert np.mean(scores) == pytest.approx(best["eval_rewards/chosen"], abs=1e-5)


def test_a_reward_that_reads_something_else_than_it_was_trained_on_is_refused(encoder: Path) -> None:
    write_pairs()
    run(configured(encoder, "appraise.steps=1"))
    model = Folder(name="folder", path=str(appraise.REWARD), dtype="auto", watch="")
    options: dict[str, Any] = {"label": "better", "question": False, "watch": "", "code": ""}
    alone = Classifier(name="classifier", weight=1.0, model=model, batch=3, **options)
    with pytest.raises(FolioError, match=r"set reward\.classifier\.question=true"):
        alone([{"question": "who", "answer": "good"}])


@pytest.mark.parametrize(("stop", "last"), [(5, "checkpoint-5"), (8, "checkpoint-6"), (11, "checkpoint-10")])
def test_a_killed_run_goes_on_to_the_same_weights_and_curves(
    encoder: Path, tmp_path: Path, stop: int, last: str
) -> None:
    write_pairs()
    config = configured(encoder)
    whole = prepared(config, tmp_path / "whole")
    train.fit(whole, tmp_path / "whole", "appraise")
    assert whole.state.global_step == 15
    drawn = {path: path.read_bytes() for path in appraise.CURVES.rglob("*.tsv")}

    stopped = prepared(config, tmp_path / "stopped")
    stopped.add_callback(StopAt(stop + (last == f"checkpoint-{stop}")))
    with pytest.raises(KeyboardInterrupt):
        train.fit(stopped, tmp_path / "stopped", "appraise")
    checkpoint = checkpoints.last_whole(tmp_path / "stopped")
    assert checkpoint is not None
    assert checkpoint.name == last

    resumed = prepared(config, tmp_path / "stopped")
    before = resumed.validation_logits()
    train.fit(resumed, tmp_path / "stopped", "appraise")
    assert torch.equal(before, prepared(config, tmp_path / "fresh").validation_logits())
    ours, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert train.reproducible(resumed.state.log_history) == train.reproducible(whole.state.log_history)
    assert {path: path.read_bytes() for path in appraise.CURVES.rglob("*.tsv")} == drawn


def test_micro_batches_change_nothing_but_rounding(encoder: Path, tmp_path: Path) -> None:
    # 18 pairs: a step of 16 and one of 2, which leaves some of four micro-batches nothing.
    write_pairs()
    found = []
    for batch, accumulation in ((16, 1), (4, 4)):
        words = [f"appraise.batch={batch}", f"appraise.accumulation={accumulation}", "appraise.epochs=1"]
        made = prepared(configured(encoder, *words), tmp_path / f"{batch}")
        made._is_fast = False  # bf16 would round more than this compares
        for module in made.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        train.fit(made, tmp_path / f"{batch}", "appraise")
        found.append([entry["loss"] for entry in made.state.log_history if "loss" in entry])
    assert len(found[0]) == 2
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def test_the_loss_is_the_cross_entropy_of_single_answers(encoder: Path, tmp_path: Path) -> None:
    write_pairs()
    made = prepared(configured(encoder), tmp_path / "run")
    logits = made.validation_logits()
    found = probabilities(logits)
    by_hand = np.mean([-math.log(p) for p in found[:, 0]] + [-math.log(1 - p) for p in found[:, 1]])
    figures = made.validation_figures()
    assert figures["eval_loss"] == pytest.approx(by_hand)
    assert figures["eval_rewards/margins"] == pytest.approx(np.mean(found[:, 0] - found[:, 1]))


def test_the_question_is_read_without_its_passage_where_the_record_tells(encoder: Path) -> None:
    settings = build(configured(encoder), "appraise")
    tokenizer, _model = appraise.load(encoder, settings)
    pair = appraise.encoded(record(0), tokenizer)
    assert not isinstance(pair, str)
    assert tokenizer.decode(pair.rows[0]["input_ids"]) == "[CLS] who who [SEP] good by [SEP]"
    assert pair.words == (2, 4)
    # Where a record has no question of its own the user's last turn is it.
    bare = {key: value for key, value in record(0).items() if key != "question"}
    pair = appraise.encoded(bare | {"messages": [{"role": "user", "content": "what team"}]}, tokenizer)
    assert not isinstance(pair, str)
    assert tokenizer.decode(pair.rows[1]["input_ids"]) == "[CLS] what team [SEP] bad by and wait [SEP]"


def test_an_answer_alone_is_counted(encoder: Path) -> None:
    settings = build(configured(encoder), "appraise")
    tokenizer, _model = appraise.load(encoder, settings)
    write_pairs(record(1, rejected=None), record(2, chosen=None))
    account = Account("pairs")
    sides = appraise.read(tokenizer, settings, account)
    assert len(sides["train"]) == 18
    assert account.dropped["unpaired"] == 2


def test_what_cannot_be_learnt_from_is_refused_in_words(
    encoder: Path, tmp_path: Path, tiny_model: Path
) -> None:
    with pytest.raises(FolioError, match=r"train\.jsonl is missing"):
        run(configured(encoder))
    write_pairs(train_count=1, validation_count=0)
    with pytest.raises(FolioError, match="no preference pair is left to validation"):
        run(configured(encoder))
    jsonl.write(appraise.PREFERENCES / "train.jsonl", [record(0, chosen="!")])
    with pytest.raises(
        FolioError, match=r"kept 0 of 1 pairs, less than appraise\.keep_share.*1 empty_answer"
    ):
        run(configured(encoder))
    with pytest.raises(FolioError, match=r"holds no config\.json"):
        run(configured(tmp_path / "none"))
    with pytest.raises(FolioError, match=r"appraise\.package\) is not installed"):
        run(composed(*PLAIN, "appraise.package=no-such-package"))
    with pytest.raises(FolioError, match=r"choose model@appraise\.base=folder or hub"):
        build(composed(*PLAIN, "model@appraise.base=embedded"), "appraise")
    torn = base(tmp_path / "torn")
    file = torn / "config.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(told | {"num_hidden_layers": 3}), encoding="utf-8")
    with pytest.raises(FolioError, match=r"lacks weights of a BertForSequenceClassification: bert\.encoder"):
        run(configured(torn))


def test_a_language_model_may_be_the_base(tiny_model: Path) -> None:
    write_pairs()
    run(configured(tiny_model, "appraise.steps=1", "appraise.batch=16"))
    assert 0 < reward()([{"question": "who", "answer": "good team"}])[0] < 1


def graph(folder: Path, *words: str) -> dict[str, list[str]]:
    """What each stage of the pipeline reads; DVC refuses a graph that goes in a circle."""
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    OmegaConf.save(composed(*words), folder / "params.yaml", resolve=True)
    with Repo(str(folder)) as repo:
        repo.index.check_graph()
        return {stage.name: [dep.def_path for dep in stage.deps] for stage in repo.index.stages}


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of a library that DVC uses
def test_the_recipe_scores_by_bertscore_and_a_later_reward_makes_no_circle(tmp_path: Path) -> None:
    Repo.init(str(tmp_path), no_scm=True).close()
    assert not any(name.startswith("appraise") for name in graph(tmp_path))
    recipe = "experiment=reward_classifier"
    stages = graph(tmp_path, recipe)
    assert "data/preferences" in stages["appraise@reward"]
    # The classifier is chosen as well, for what stands behind it in the graph.
    chosen = ["reward=[bertscore,classifier]", "reward.classifier.model.path=models/reward"]
    apart = ["pairs.rewards=[bertscore]", "pairs.watch=stages/reward"]
    stages = graph(tmp_path, recipe, *chosen, *apart)
    assert "models/reward" not in stages["pairs@tuned"]
    # Its weights are not there yet, and need not be.
    validate(composed(recipe, *chosen, "reward.classifier.label=better", *apart))
    with pytest.raises(FolioError, match=r"learns from these very pairs: set pairs\.rewards=\[bertscore\]"):
        validate(composed(recipe, *chosen))


def test_help_comes_without_torch() -> None:
    lines = "import sys, stages.appraise; sys.exit('torch' in sys.modules)"
    own = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", lines], env=own, check=True)
