"""The pipeline of the working directory, as dvc sees it."""

from pathlib import Path

from dvc.repo import Repo


def staged() -> dict[str, list[str]]:
    """What each stage of the pipeline reads."""
    with Repo() as repo:
        return {stage.name: [dep.def_path for dep in stage.deps] for stage in repo.index.stages}


def committed() -> None:
    """Leave the pipeline in the working directory as if all its stages had run."""
    with Repo() as repo:
        places = [Path(out.fs_path) for out in repo.index.outs]
        own = [Path(dep.fs_path) for stage in repo.index.stages for dep in stage.deps if dep.def_path]
    for place in sorted([*places, *own], key=lambda path: -len(path.parts)):  # folders after what is in them
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("here", encoding="utf-8")
    with Repo() as repo:
        repo.commit(force=True)


def altered() -> set[str]:
    """The stages that `dvc status` names."""
    with Repo() as repo:
        return set(repo.status())
