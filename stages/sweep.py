"""One Hydra job = one DVC experiment: python -m stages.sweep -m method.r=8,16 train.batch=4,8"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from stages.entry import entrypoint
from stages.errors import FolioError
from stages.option import build

# git refuses more than a file name holds, and a column of `dvc exp show` should stay readable.
LONGEST = 60


def experiment_name(overrides: Sequence[str]) -> str:
    """A name that git accepts and a person can read: `r=8,learning_rate=0.0001`.

    Raises:
        FolioError: there is nothing to name it after.
    """
    if not overrides:
        raise FolioError("a sweep needs overrides, as in: python -m stages.sweep -m method.r=8,16")
    short = (re.sub(r"^[+~]*(?:[\w@/]+\.)*", "", override) for override in overrides)
    whole = ",".join(short)
    name = re.sub(r"\.{2,}", ".", re.sub(r"[^\w=,.+-]+", "-", whole)).strip("-.,")
    if name == whole and len(name) <= LONGEST and not name.endswith(".lock"):
        return name
    # What the name cannot hold still tells two jobs apart.
    seal = hashlib.sha256("\0".join(overrides).encode()).hexdigest()[:6]
    return f"{name[: LONGEST - 7].rstrip('-.,')}-{seal}"


def run_dvc(*words: str) -> str:
    """Run DVC in this checkout and return what it printed.

    Raises:
        FolioError: DVC failed; its own last words are given.
    """
    done = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        words_of_dvc = (done.stderr or done.stdout).strip().splitlines()
        reason = next((line for line in words_of_dvc if line.startswith(("folio:", "ERROR:"))), "")
        raise FolioError(f"dvc {' '.join(words[:2])} failed: {reason or words_of_dvc[-1:]}")
    return done.stdout


def untracked_documents() -> list[str]:
    """Files in data/raw that git does not know: an experiment's own checkout would lack them."""
    words = ["git", "ls-files", "--others", "--exclude-standard", "data/raw"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FolioError(f"git: {done.stderr.strip()}; a sweep needs a git checkout")
    return done.stdout.splitlines()


def run(overrides: Sequence[str]) -> str:
    """Run one experiment in a checkout of its own and return its name.

    An experiment of that name, which an earlier sweep left, is replaced.

    Raises:
        FolioError: a document is not tracked, or a stage failed.
    """
    if missing := untracked_documents():
        raise FolioError(f"git does not know {missing[0]}: `git add` or `dvc add` it before a sweep")
    name = experiment_name(overrides)
    if name in run_dvc("exp", "list", "--name-only").split():
        run_dvc("exp", "remove", name)
    settings = [word for override in overrides for word in ("-S", override)]
    run_dvc("exp", "run", "--temp", "-n", name, *settings)
    return name


def objective(name: str, path: str) -> float:
    """The figure at `file:key.key` of an experiment, as `metrics/train.json:loss.after`.

    Raises:
        FolioError: the experiment has no such figure.
    """
    import dvc.api
    from dvc.exceptions import DvcException

    file, _, keys = path.partition(":")
    try:
        value: Any = dvc.api.metrics_show(file, rev=name)
    except DvcException as error:
        raise FolioError(f"sweep.objective={path} cannot be read: {error}") from error
    for key in keys.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, int | float):
        raise FolioError(f"sweep.objective={path} is no figure of experiment {name}")
    return float(value)


@entrypoint
def main(config: DictConfig) -> float:
    """Run the job's experiment and return its objective to Hydra's sweeper."""
    settings = build(config, "sweep")
    name = run(list(HydraConfig.get().overrides.task))
    value = objective(name, settings.objective)
    print(f"sweep: {name}: {settings.objective} = {value:g}")
    return value


if __name__ == "__main__":
    main()
