import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from omegaconf import DictConfig, OmegaConf

from stages.compose import compose, option_keys
from stages.option import build
from tests.imports import ROOT, built, closure, module_file, targets

GROUPS = [
    "source",
    "parser",
    "ocr",
    "splitter",
    "generator",
    "filter",
    "answerer",
    "model",
    "format",
    "method",
    "objective",
    "metric",
    "reward",
]
SEVERAL = ("source", "filter", "metric", "reward")
ANSWERER = "answerer@filter.round_trip.answerer"
KEYS = {"answerer": "filter.round_trip.answerer"}
# Filters that ask a model name its code in values of their own.
ASKING = [["filter=[judge]"], ["filter=[round_trip]"], ["filter=[round_trip]", f"{ANSWERER}=openai"]]
OPTIONS = [path for group in GROUPS for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
FILTERS = {
    path.relative_to(ROOT)
    for group in ("filter", "answerer")
    for path in (ROOT / "stages" / group).glob("[a-z]*.py")
}
SOURCES = sorted(path.stem for path in (ROOT / "conf/source").glob("*.yaml"))
METRICS = sorted(path.stem for path in (ROOT / "conf/metric").glob("*.yaml"))
REWARDS = {path.relative_to(ROOT) for path in (ROOT / "stages/reward").glob("[a-z]*.py")}
PAIRS_DEPS = PIPELINE["pairs"]["do"]["deps"]
# Stages that are there when they are asked for, and need no recipe.
PUBLISHING = ("publish", "export", "push")
SAMPLING = ["grpo", "rloo"]
OBJECTIVES = sorted(
    path.stem for path in (ROOT / "conf/objective").glob("*.yaml") if path.stem not in ("none", *SAMPLING)
)
# Stages whose deps depend on what is chosen; each has a test of its own.
OF_CHOICE = (
    "compose",
    "gather",
    "create",
    "score",
    "ablate",
    "vary",
    "pairs",
    "appraise",
    "prefer",
    "align",
    "reinforce",
    *PUBLISHING,
)
NAMED = ("format.name", "method.name", "model.name")
SCRIPTS = {name: name for name in PIPELINE} | {"baseline": "evaluate"}


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return compose(ROOT / "conf")


@pytest.fixture(scope="module")
def code_deps() -> dict[str, set[Path]]:
    found: dict[str, set[Path]] = {}
    with Repo(str(ROOT)) as repo:
        for stage in repo.index.stages:
            files = (Path(dep.def_path) for dep in stage.deps if dep.def_path)
            # Documents are read where the source `pairs` is chosen.
            found[stage.addressing.removesuffix("@documents")] = expand(files)
    return found


def expand(paths: Any) -> set[Path]:
    code: set[Path] = set()
    for path in paths:
        if path.parts[0] == "stages":
            inside = (ROOT / path).rglob("*.py") if path.suffix != ".py" else [ROOT / path]
            code |= {file.relative_to(ROOT) for file in inside if file.name != "__init__.py"}
    return code


@pytest.mark.parametrize(
    "stage",
    [name for name in PIPELINE if name not in OF_CHOICE],
)
def test_the_imports_of_a_stage_are_its_deps(
    stage: str, config: DictConfig, code_deps: dict[str, set[Path]]
) -> None:
    script = Path(f"stages/{SCRIPTS[stage]}.py")
    found = closure({script} | built(script, config))
    if (
        stage == "verify"
    ):  # any filter may be chosen; the code behind a model that one asks is named by a value
        found |= closure(FILTERS) - expand([Path("stages/endpoint")]) | {Path("stages/gguf.py")}
    assert code_deps[stage] == found


def test_the_imports_of_each_score_are_its_deps(config: DictConfig, code_deps: dict[str, set[Path]]) -> None:
    script = Path("stages/score.py")
    for name in config.metric:
        metric = Path(f"stages/metric/{name}.py")
        assert code_deps[f"score@{name}"] == closure({script, metric} | built(script, config))


def test_the_imports_of_gather_are_its_deps(config: DictConfig) -> None:
    named = PIPELINE["gather"]["do"]["deps"]
    script = Path("stages/gather.py")
    sources = {path.relative_to(ROOT) for path in (ROOT / "stages/source").glob("[a-z]*.py")}
    assert expand(map(Path, named)) == closure({script} | sources | built(script, config))


@pytest.mark.parametrize("name", SOURCES)
def test_documents_are_read_for_the_pairs_that_are_asked_about_them(name: str) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = hydra_compose("config", [f"source=[{name}]"])
    assert chosen.gather.documents == (["documents"] if name == "pairs" else [])


def test_the_imports_of_vary_are_its_deps(config: DictConfig) -> None:
    # The recipe alone makes such stages. The model is built where it is loaded.
    deps = PIPELINE["vary"]["do"]["deps"]
    named = [re.sub(r"\$\{(model|format)\.name\}", lambda m: config[m[1]].name, dep) for dep in deps]
    scripts = {Path("stages/vary.py"), Path("stages/evaluate.py")}
    assert expand(map(Path, named)) == closure(scripts.union(*(built(script, config) for script in scripts)))


def test_the_imports_of_ablate_are_its_deps(config: DictConfig) -> None:
    # A recipe alone makes such a stage. The models that metrics read are named by these.
    named = PIPELINE["ablate"]["do"]["deps"]
    for key, value in {key: str(OmegaConf.select(config, key)) for key in NAMED}.items():
        named = [dep.replace(f"${{{key}}}", value) for dep in named]
    scripts = {Path("stages/ablate.py"), Path("stages/evaluate.py")}
    metrics = {path.relative_to(ROOT) for path in (ROOT / "stages/metric").glob("[a-z]*.py")}
    found = closure(scripts.union(metrics, *(built(script, config) for script in scripts)))
    assert expand(map(Path, named)) == found - {Path("stages/settings/score.py")}


def test_the_imports_of_create_are_its_deps(config: DictConfig) -> None:
    # model=scratch alone makes such a stage. Other options it builds to check them, or to take a tokenizer.
    named = [dep.replace("${create.stock.name}", "embedded") for dep in PIPELINE["create"]["do"]["deps"]]
    stock = {Path("stages/model/embedded.py"), Path("stages/model/scratch.py")}
    settings = {Path("stages/settings/create.py"), Path("stages/settings/tokenize.py")}
    assert expand(map(Path, named)) == closure({Path("stages/create.py")} | stock | settings)


def test_the_imports_of_pairs_are_its_deps(config: DictConfig) -> None:
    # The recipe alone makes such a stage. A value names the code that finds a classifier's model.
    named = [
        re.sub(r"\$\{([\w.]+)\}", lambda m: str(OmegaConf.select(config, m[1])), dep) for dep in PAIRS_DEPS
    ]
    script = Path("stages/pairs.py")
    assert expand(map(Path, named)) == closure({script} | built(script, config) | REWARDS)


@pytest.mark.parametrize("stage", PUBLISHING)
def test_the_imports_of_publishing_are_its_deps(stage: str, config: DictConfig) -> None:
    named = [dep.replace("${model.name}", config.model.name) for dep in PIPELINE[stage]["do"]["deps"]]
    script = Path(f"stages/{stage}.py")
    assert expand(map(Path, named)) == closure({script} | built(script, config))


def test_a_reward_by_a_classifier_brings_its_weights_and_the_code_that_finds_them() -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = hydra_compose("config", ["reward=[squad_f1,classifier]"])
    assert (chosen.pairs.watch, chosen.pairs.code) == ("models/base", "stages/model/folder.py")
    assert targets(chosen.reward) <= REWARDS | expand([Path(chosen.pairs.code)])


@pytest.mark.parametrize("base", ["none", "folder"])
def test_the_imports_of_appraise_are_its_deps(base: str) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    # A value alone makes such a stage. A folder to begin from is an artifact, a package's is not.
    words = ["appraise.stages=[reward]"] + ["model@appraise.base=folder"] * (base == "folder")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = hydra_compose("config", words)
    named = PIPELINE["appraise"]["do"]["deps"]
    for key in ("watch", "code"):
        named = [dep.replace(f"${{appraise.{key}}}", chosen.appraise[key]) for dep in named]
    assert ("models/base" in named) == (base == "folder")
    found = closure({Path("stages/appraise.py")} | built(Path("stages/appraise.py"), chosen))
    assert expand(map(Path, named)) == found | {Path("stages/model/folder.py")}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("stage", ["prefer", "align"])
def test_the_imports_of_alignment_are_its_deps(stage: str, objective: str) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    # An objective alone makes such stages.
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = hydra_compose("config", [f"objective={objective}"])
    assert chosen.align.objectives == [objective]
    names = {"item": objective} | {f"{key}.name": chosen[key].name for key in ("format", "method", "model")}
    named = PIPELINE[stage]["do"]["deps"]
    for key, value in names.items():
        named = [dep.replace(f"${{{key}}}", value) for dep in named]
    script = Path(f"stages/{stage}.py")
    assert expand(map(Path, named)) == closure({script} | built(script, chosen))


@pytest.mark.parametrize("objective", SAMPLING)
def test_the_imports_of_reinforce_are_its_deps(objective: str) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = hydra_compose("config", [f"objective={objective}", "reward=[bertscore]"])
    assert (chosen.reinforce.objectives, chosen.align.objectives) == ([objective], [])
    named = PIPELINE["reinforce"]["do"]["deps"]
    named = [dep.replace("${item}", objective) for dep in named]
    named = [re.sub(r"\$\{([\w.]+)\}", lambda m: str(OmegaConf.select(chosen, m[1])), dep) for dep in named]
    script = Path("stages/reinforce.py")
    assert expand(map(Path, named)) == closure({script} | built(script, chosen) | REWARDS)


@pytest.mark.parametrize("name", METRICS)
def test_the_imports_of_a_score_by_any_metric_would_be_its_deps(
    name: str, code_deps: dict[str, set[Path]]
) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = hydra_compose("config", [f"metric=[{name}]"])
    option, own = chosen.metric[name], Path(f"stages/metric/{name}.py")
    shared = code_deps["score@squad"] - {Path("stages/metric/squad.py")}
    script = Path("stages/score.py")
    found = closure({script, own} | built(script, chosen) | targets(option))
    assert shared | {own} | expand([Path(option.code), Path(option.watch)]) == found


def test_compose_depends_on_every_option_it_may_build(code_deps: dict[str, set[Path]]) -> None:
    options = expand(Path("stages") / group for group in [*GROUPS, "settings"])
    # The settings of a sweep belong to no stage, but compose checks them too.
    assert code_deps["compose"] == closure({Path("stages/compose.py")} | options)


@pytest.mark.parametrize("choices", ASKING, ids=" ".join)
def test_a_filter_that_asks_a_model_brings_its_code_and_its_weights(
    choices: list[str], code_deps: dict[str, set[Path]]
) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = hydra_compose("config", choices)
    named = [chosen.verify.watch, chosen.verify.answerer, chosen.verify.judge]
    assert all((ROOT / name).exists() for name in named)
    assert closure(targets(chosen.filter)) <= code_deps["verify"] | expand(map(Path, named))


@pytest.mark.parametrize(
    "option",
    [
        path
        for path in OPTIONS
        if path.stem not in ("judge", "round_trip") and path.parent.name not in ("answerer", "reward")
    ],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_an_options_module_imports_nothing_that_its_stage_does_not_name(
    option: Path, code_deps: dict[str, set[Path]]
) -> None:
    users = {
        "source": ["gather@pairs"], "parser": ["chunk"], "ocr": ["chunk"], "splitter": ["chunk"],
        "generator": ["generate"], "filter": ["verify"], "answerer": ["verify"], "metric": ["score@squad"],
        "method": ["train", "merge"], "objective": ["compose"],
        "format": ["tokenize", "train", "merge", "baseline", "evaluate", "retain"],
        "model": ["generate", "tokenize", "train", "merge", "baseline", "evaluate", "retain"],
    }  # fmt: skip
    group = option.parent.name
    file = Path(f"stages/{group}/{option.stem}.py")
    for stage in users[group]:
        named = re.findall(r"^(?:code|watch): ([\w./]+) ", option.read_text(encoding="utf-8"), re.MULTILINE)
        own = {file} | expand(map(Path, named))
        assert closure({file}) - own <= code_deps[stage]


def test_conf_files_and_option_modules_match_one_to_one() -> None:
    for group in GROUPS:
        files = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
        modules = {path.stem for path in (ROOT / "stages" / group).glob("*.py")} - {"__init__"}
        assert files == modules, group


def test_every_block_of_settings_has_a_module_and_every_stage_a_block() -> None:
    blocks = {path.stem for path in (ROOT / "stages/settings").glob("*.py")} - {"__init__"}
    assert blocks == set(SCRIPTS.values()) - {"compose", "tabulate"} | {"sweep", "ask"}


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_option_instantiates_and_bears_the_name_of_its_file(path: Path) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    group = path.parent.name
    choice = f"{group}=[{path.stem}]" if group in SEVERAL else f"{group}={path.stem}"
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        if group == "answerer":
            chosen = hydra_compose("config", ["filter=[round_trip]", f"{ANSWERER}={path.stem}"])
        else:
            chosen = hydra_compose("config", [choice])
    key = f"{group}.{path.stem}" if group in SEVERAL else KEYS.get(group, group)
    option = build(chosen, key)
    assert option.name == path.stem
    assert module_file(type(option).__module__) == Path(f"stages/{group}/{path.stem}.py")


def test_every_key_of_the_composed_config_builds(config: DictConfig) -> None:
    assert all(build(config, key) for key in option_keys(config))


def test_params_yaml_is_what_conf_composes_to(config: DictConfig) -> None:
    assert (ROOT / "params.yaml").read_text(encoding="utf-8") == OmegaConf.to_yaml(config)


@pytest.mark.parametrize(
    "stage",
    [
        "chunk",
        "preview",
        "review",
        "audit",
        "diagnose",
        "tabulate",
        "score",
        "report",
        "publish",
        "push",
        "compose",
        "sweep",
        "crossvalidate",
        "ask",
        "chat",
    ],
)
def test_a_stage_that_does_not_compute_never_imports_torch(stage: str) -> None:
    lines = f"import sys, stages.{stage}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", lines], cwd=ROOT, check=True)


def test_every_module_says_what_it_is_and_no_module_is_a_drawer() -> None:
    for path in (ROOT / "stages").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert path.name != "utils.py"
        assert not text if path.name == "__init__.py" else text.startswith('"""'), path


def test_functions_are_short() -> None:
    import ast

    for path in (ROOT / "stages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 40, f"{path}: {node.name}"


def test_the_recipes_compose() -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    for path in (ROOT / "conf/experiment").glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# @package _global_")
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            chosen = hydra_compose("config", [f"experiment={path.stem}"])
        assert all(build(chosen, key) for key in option_keys(chosen))


def test_a_python_below_311_is_refused_in_words() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"Folio needs Python 3\.11", makefile)
