"""The real dvc over the graph of an alignment: what a changed reward runs again, and what is not there."""

import re
from pathlib import Path

import pytest
from dvc.repo import Repo

from tests.checkout import Checkout

ALIGNMENT = ("align", "prefer", "pairs", "reinforce")


def graph(made: Checkout) -> dict[str, tuple[list[str], list[str]]]:
    """What each stage of the pipeline reads and writes, by params.yaml as it stands."""
    with Repo(str(made.folder)) as repo:
        return {
            stage.name: ([dep.def_path for dep in stage.deps], [out.def_path for out in stage.outs])
            for stage in repo.index.stages
        }


def done(made: Checkout) -> None:
    """Let dvc hold every stage for done: an artifact is a file, or a folder of the files that others read."""
    everything = graph(made)
    read = {dep for deps, _ in everything.values() for dep in deps}
    for out in (out for _, outs in everything.values() for out in outs):
        for name in [dep for dep in read if dep.startswith(f"{out}/")] or [out]:
            path = made.folder / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("here", encoding="utf-8")
    with Repo(str(made.folder)) as repo:
        repo.commit(force=True)


def changed(made: Checkout) -> set[str]:
    """The stages whose own inputs or settings are others than when they were done."""
    with Repo(str(made.folder)) as repo:
        return set(repo.status())


def with_what_follows(made: Checkout, names: set[str]) -> set[str]:
    """These stages and all that read, at whatever remove, what they write."""
    everything, found = graph(made), set[str]()
    more = names
    while more:
        found |= more
        written = [out for name in more for out in everything[name][1]]
        more = {
            name
            for name, (deps, _) in everything.items()
            for dep in deps
            if any(
                dep == out or f"{dep}/".startswith(f"{out}/") or out.startswith(f"{dep}/") for out in written
            )
        } - found
    return found


def test_a_changed_weight_of_a_reward_makes_pairs_and_an_alignment_anew_and_trains_nothing(
    tmp_path: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Checkout(tmp_path / "project", session_cache)
    monkeypatch.chdir(made.folder)
    made.edit("conf/config.yaml", "objective: none", "objective: kto")
    made.edit("conf/config.yaml", "experiment: null", "experiment: pairs")
    assert made.python("-m", "stages.compose").returncode == 0
    done(made)
    assert changed(made) == set()

    made.edit("conf/reward/squad_f1.yaml", "weight: 1.0", "weight: 2.0")
    assert made.python("-m", "stages.compose").returncode == 0
    # compose reads conf/, and the report params.yaml itself.
    assert changed(made) == {"compose", "pairs@tuned", "report"}
    scores = {name for name in graph(made) if name.startswith("score@")}
    after = {"align@kto", "merge", "retain", "evaluate", "diagnose", "tabulate", "report"}
    assert with_what_follows(made, {"pairs@tuned"}) == {"pairs@tuned"} | after | scores


def test_without_an_objective_nothing_of_an_alignment_is_in_the_graph(
    tmp_path: Path, session_cache: Path
) -> None:
    everything = graph(Checkout(tmp_path / "project", session_cache))
    assert not [name for name in everything if name.partition("@")[0] in ALIGNMENT]
    places = [place for deps, outs in everything.values() for place in (*deps, *outs)]
    assert not [place for place in places if re.match(r"models/aligned|plots/align|metrics/align", place)]
    assert not [place for place in places if place.startswith("data/preferences")]
    assert "models/adapter" in everything["merge"][0]
