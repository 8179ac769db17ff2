import subprocess
from itertools import combinations

import pytest

from stages.errors import FolioError
from stages.sweep import LONGEST, experiment_name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["method.r=8", "train.learning_rate=0.0001"], "method.r=8,train.learning_rate=0.0001"),
        (["generator.model.file=x"], "generator.model.file=x"),
        (["seed=1"], "seed=1"),
        (["method=qlora"], "method=qlora"),
        (["+experiment=quick"], "experiment=quick"),
        (["++train.batch=4"], "train.batch=4"),
        (["~metric.squad"], "metric.squad"),
        (["model@generator.model=folder"], "generator.model=folder"),
        (["filter.likelihood.minimum=-1.2"], "filter.likelihood.minimum=-1.2"),
    ],
)
def test_a_name_is_short_and_readable(overrides: list[str], name: str) -> None:
    assert experiment_name(overrides) == name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["model.path=/home/me/a model"], "model.path=-home-me-a-model"),
        (["model.file=a@b"], "model.file=a-b"),
        (["model.id=org/name-1.5"], "model.id=org-name-1.5"),
        (["metric=[squad,perplexity]"], "metric=-squad,perplexity"),
        (["chunk.skip_headings=['A: b']"], "chunk.skip_headings=-A-b"),
    ],
)
def test_what_a_file_or_git_would_trip_over_becomes_a_dash(overrides: list[str], name: str) -> None:
    assert experiment_name(overrides).startswith(name)


def test_a_sweep_over_nothing_is_refused_with_an_example() -> None:
    with pytest.raises(FolioError, match=r"a sweep needs overrides, as in: .*method\.r=8,16"):
        experiment_name([])


LONG = [
    "train.gradient_checkpointing=true",
    "train.scheduler=constant_with_warmup",
    "train.learning_rate=0.0001",
]


@pytest.mark.parametrize(
    "overrides",
    [
        ["method.r=8"],
        LONG,
        ["model.path=../models/a"],
        ["model.path=.../a"],
        ["model.path=a....b"],
        ["model.file=a.lock"],
        ["model.path=~/a^b:c?d*e[f]\\g@{h}"],
        ["prompt.text=Größe 検査"],
        ["train.batch=4."],
        ["model.path=" + "a." * 40],
    ],
    ids=lambda overrides: overrides[0][:30],
)
def test_git_accepts_every_name(overrides: list[str]) -> None:
    name = experiment_name(overrides)
    assert 0 < len(name) <= LONGEST
    # dvc keeps an experiment as the ref refs/exps/../../NAME, and takes NAME on a command line.
    asked = subprocess.run(["git", "check-ref-format", f"refs/exps/ab/cd/{name}"], check=False)
    assert asked.returncode == 0
    assert not name.startswith("-")
    assert not set(name) & set("/ ~^:?*[\\")


@pytest.mark.parametrize(
    ("common", "values"),
    [
        # The difference lies beyond the longest name.
        (LONG, ["train.batch=4", "train.batch=8", "train.batch=16"]),
        # Characters that a name cannot hold.
        ([], ["model.id=a/b", "model.id=a b", "model.id=a-b"]),
        # The same knob of another group.
        ([], ["train.batch=8", "evaluate.batch=8", "filter.round_trip.answerer.batch=8"]),
        ([], ["model=folder", "model@generator.model=folder"]),
    ],
)
def test_the_jobs_of_a_sweep_have_names_of_their_own(common: list[str], values: list[str]) -> None:
    # An experiment of the same name is replaced, so a shared name would lose one.
    names = [experiment_name([*common, value]) for value in values]
    assert all(one != other for one, other in combinations(names, 2))


def test_a_name_is_the_same_each_time() -> None:
    assert experiment_name(LONG) == experiment_name(LONG)
