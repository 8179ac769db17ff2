from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from stages.compose import compose
from stages.errors import FolioError
from stages.model.embedded import Embedded
from stages.option import build, nearest
from stages.settings.chunk import Chunk
from stages.settings.train import Train
from stages.splitter.passages import Passages
from tests.imports import ROOT


@pytest.fixture(scope="module")
def composed() -> DictConfig:
    return compose(ROOT / "conf")


def changed(config: DictConfig, **values: Any) -> DictConfig:
    """A copy of the config with `a__b=1` set as a.b."""
    copy: DictConfig = OmegaConf.create(OmegaConf.to_container(config))  # type: ignore[assignment]
    for key, value in values.items():
        OmegaConf.update(copy, key.replace("__", "."), value, force_add=True)
    return copy


def fault(config: DictConfig, key: str, **values: Any) -> str:
    with pytest.raises(FolioError) as error:
        build(changed(config, **values), key)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_stages_settings_are_built(composed: DictConfig) -> None:
    train = build(changed(composed, train__batch=3, train__learning_rate=0.25), "train")
    assert isinstance(train, Train)
    assert (train.batch, train.learning_rate) == (3, 0.25)


def test_an_option_within_an_option_and_within_a_group_is_built(composed: DictConfig) -> None:
    assert isinstance(build(composed, "generator").model, Embedded)
    assert build(composed, "metric.squad").name == "squad"


def test_a_list_becomes_what_the_setting_holds(composed: DictConfig) -> None:
    chunk = build(changed(composed, chunk__skip_headings=["Index"]), "chunk")
    assert isinstance(chunk, Chunk)
    assert chunk.skip_headings == ("Index",)


def test_an_option_is_frozen() -> None:
    passages = Passages(name="passages", target=20, maximum=30, language="en")
    with pytest.raises(AttributeError):
        passages.target = 21  # type: ignore[misc]


def test_an_unknown_key_is_named_with_the_nearest_one(composed: DictConfig) -> None:
    assert (
        fault(composed, "train", train__lerning_rate=1)
        == "train.lerning_rate is not a setting; did you mean learning_rate?"
    )


def test_an_unknown_key_that_is_like_none_has_no_hint(composed: DictConfig) -> None:
    assert fault(composed, "train", train__zzz=1) == "train.zzz is not a setting"


def test_an_unknown_key_of_an_option_within_an_option_is_named_in_full(composed: DictConfig) -> None:
    sentence = fault(composed, "generator", generator__model__filee="x")
    assert sentence == "generator.model.filee is not a setting; did you mean file?"


def test_a_missing_key_is_named(composed: DictConfig) -> None:
    config = changed(composed)
    del config.train["batch"]
    with pytest.raises(FolioError, match=r"^train\.batch is missing$"):
        build(config, "train")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("many", "train.batch='many': input should be a valid integer"),
        (None, "train.batch=None: input should be a valid integer"),
        (1.5, "train.batch=1.5: input should be a valid integer"),
        ([8], "train.batch=[8]: input should be a valid integer"),
        # YAML's yes, on and true: no number of rows.
        (True, "train.batch=True: input should be a valid integer"),
    ],
)
def test_a_wrong_type_is_named(composed: DictConfig, value: Any, reason: str) -> None:
    assert fault(composed, "train", train__batch=value).startswith(reason)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("train__batch", 0, "train.batch=0: input should be greater than or equal to 1"),
        ("train__warmup_share", 1.0, "train.warmup_share=1.0: input should be less than 1"),
        ("train__learning_rate", float("nan"), "train.learning_rate=nan: input should be a finite number"),
        ("train__learning_rate", float("inf"), "train.learning_rate=inf: input should be a finite number"),
        (
            "train__scheduler",
            "cosin",
            "train.scheduler='cosin': input should be 'linear', 'cosine', "
            "'cosine_with_min_lr', 'constant' or 'constant_with_warmup'",
        ),
    ],
)
def test_an_impossible_value_is_named(composed: DictConfig, key: str, value: Any, reason: str) -> None:
    assert fault(composed, "train", **{key: value}) == reason


@pytest.mark.parametrize(
    ("key", "values", "reason"),
    [
        ("splitter", {"splitter__target": 300}, "splitter.maximum=180 is below splitter.target=300"),
        ("generator", {"generator__temperature": 0}, "generator.temperature=0 is greedy"),
        (
            "tokenize",
            {"tokenize__test_share": 0.5, "tokenize__validation_share": 0.5},
            "tokenize.test_share=0.5 and tokenize.validation_share=0.5 leave nothing to train on",
        ),
    ],
)
def test_an_impossible_pair_is_told_in_its_own_words(
    composed: DictConfig, key: str, values: dict[str, Any], reason: str
) -> None:
    assert fault(composed, key, **values).startswith(reason)


def test_all_faults_of_an_option_are_told_at_once(composed: DictConfig) -> None:
    sentence = fault(composed, "train", train__batch=0, train__zzz=1)
    assert "train.batch=0" in sentence
    assert "train.zzz is not a setting" in sentence


@pytest.mark.parametrize("key", ["seed", "nothing", "metric"])
def test_what_is_no_option_is_named(composed: DictConfig, key: str) -> None:
    assert fault(composed, key) == f"{key} is no option: conf/ gives it no _target_"


@pytest.mark.parametrize("target", ["stages.settings.train.Trai", "stages.settings.trai.Train", "x"])
def test_a_target_that_does_not_exist_is_named(composed: DictConfig, target: str) -> None:
    sentence = fault(composed, "train", train___target_=target)
    assert sentence.startswith("train: ")
    assert target in sentence


@pytest.mark.parametrize(
    ("key", "hint"),
    [("lerning", "; did you mean learning?"), ("learning", "; did you mean learning?"), ("zzz", "")],
)
def test_nearest(key: str, hint: str) -> None:
    assert nearest(key, ["batch", "learning", "seed"]) == hint
