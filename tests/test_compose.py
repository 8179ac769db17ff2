import shutil
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from stages import compose as module
from stages.compose import changes, compose, shape, validate
from stages.errors import FolioError
from tests.imports import ROOT


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("config.yaml", "rning_rate: 5", "rning_rat: 5", "train.learning_rat is not a setting; did you mean"),
        ("config.yaml", "epochs: 3", "epochs: three", "train.epochs='three'"),
        ("config.yaml", "epochs: 3", "epochs: -1", "train.epochs=-1: input should be greater than 0"),
        ("config.yaml", "scheduler: cosine", "scheduler: cosin", "train.scheduler='cosin'"),
        ("config.yaml", "test_share: 0.2", "test_share: 0.9", "leave nothing to train on"),
        ("config.yaml", "\nreport:", "\nreprot:", "report"),
        ("config.yaml", "\nseed: 0", "\nsead: 0", "seed"),
        ("config.yaml", "method: lora", "method: lroa", "Could not find 'method/lroa'"),
        ("config.yaml", "epochs: 3", "epochs: [", "no YAML"),
        ("splitter/passages.yaml", "maximum: 180", "maximum: 90", "maximum=90 is below splitter.target=110"),
        ("generator/local.yaml", "temperature: 0.7", "temperature: 0", "samples must be 1"),
        ("method/lora.yaml", "r: 8", "r: 0", "method.r=0"),
        ("metric/bertscore.yaml", "layers: 5", "layer: 5", "bertscore.layer is not a setting; did you mean"),
        ("model/embedded.yaml", "stages.model.embedded.Embedded", "stages.model.embedded.Embeded", "model"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_the_remedy(
    conf: Path, file: str, old: str, new: str, sentence: str
) -> None:
    replace(conf / file, old, new)
    with pytest.raises(FolioError) as error:
        validate(compose(conf))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_every_wrong_value_is_told_at_once(conf: Path) -> None:
    replace(conf / "config.yaml", "epochs: 3", "epochs: -1")
    replace(conf / "method/lora.yaml", "r: 8", "r: 0")
    with pytest.raises(FolioError, match=r"train\.epochs.*method\.r|method\.r.*train\.epochs"):
        validate(compose(conf))


def test_the_shape_is_what_dvc_reads_of_the_params() -> None:
    pipeline = "foreach: ${metric}\ncmd: run ${key} ${item.name}\ndeps: [${parser.name}.py]"
    params = OmegaConf.create(
        {"metric": {"b": {"name": "c", "n": 1}, "a": {}}, "parser": {"name": "oxide"}, "x": 1}
    )
    found = shape(params, pipeline)  # type: ignore[arg-type]
    assert found == {"metric": {"a": [None], "b": ["c"]}, "parser.name": "oxide"}


def test_changes_are_told_leaf_by_leaf() -> None:
    old = OmegaConf.create({"a": {"b": 1, "c": 2}, "d": 3})
    new = OmegaConf.create({"a": {"b": 1, "c": 5}, "e": 4})
    assert changes(old, new) == ["a.c: 2 -> 5", "d: 3 -> (none)", "e: (none) -> 4"]  # type: ignore[arg-type]


@pytest.fixture
def project(conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "dvc.yaml", conf.parent)
    monkeypatch.chdir(conf.parent)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    module.run()
    return conf.parent


def test_a_changed_shape_stops_dvc_once_and_leaves_the_new_params(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(project / "conf/config.yaml", "parser: oxide", "parser: pdfium")
    monkeypatch.setenv("DVC_STAGE", "compose")
    with pytest.raises(FolioError, match="changed shape: run `dvc repro` again"):
        module.run()
    assert "name: pdfium" in (project / "params.yaml").read_text(encoding="utf-8")
    module.run()


def test_inside_an_experiment_the_params_that_dvc_composed_stay_and_are_checked(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(project / "params.yaml", "epochs: 3", "epochs: 7")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc")
    module.run()
    assert "epochs: 7" in (project / "params.yaml").read_text(encoding="utf-8")
    replace(project / "params.yaml", "epochs: 7", "epochs: -7")
    with pytest.raises(FolioError, match=r"train\.epochs=-7"):
        module.run()


def test_a_wrong_conf_leaves_the_old_params(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    replace(project / "conf/config.yaml", "epochs: 3", "epochs: -1")
    with pytest.raises(FolioError):
        module.run()
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "prefer", "pairs"),
    [
        (["experiment=preference_simpo"], ["cpo_simpo"], []),
        (["experiment=pairs", "objective=dpo"], [], ["tuned"]),
        ([], [], []),
    ],
)
def test_preferences_come_from_a_file_or_from_the_model_itself(
    words: list[str], prefer: list[str], pairs: list[str]
) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = hydra_compose("config", words)
    # Both stages would write data/preferences.
    assert (chosen.prefer.stages, chosen.pairs.models) == (prefer, pairs)
