"""One Hydra job = one DVC experiment: python -m stages.sweep -m method.r=8,16 train.batch=4,8"""

import hashlib
import json
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
LONGEST = 80
REASON = 500  # characters of what DVC said, at most


def experiment_name(overrides: Sequence[str]) -> str:
    """A name that git accepts and a person can read: `method.r=8,train.learning_rate=0.0001`.

    Groups stay in it: `train.batch=8` and `evaluate.batch=8` are two experiments.

    Raises:
        FolioError: there is nothing to name it after.
    """
    if not overrides:
        raise FolioError("a sweep needs overrides, as in: python -m stages.sweep -m method.r=8,16")
    # `model@generator.model=hub` chooses an option for generator.model.
    whole = ",".join(re.sub(r"^[+~]*(?:[\w/]+@)?", "", override) for override in overrides)
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
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        reason = next((line for line in lines if line.startswith(("folio:", "ERROR:"))), lines[-1])
        # A stage may quote a document; what would move the cursor of a terminal does not pass.
        shown = "".join(sign if sign.isprintable() else " " for sign in reason[:REASON])
        raise FolioError(f"dvc {' '.join(words[:2])} failed: {shown}")
    return done.stdout


def check_documents() -> None:
    """Refuse files in data/raw that git does not know: an experiment's own checkout would lack them.

    Raises:
        FolioError: there is one, or this is no git checkout.
    """
    words = ["git", "ls-files", "--others", "--exclude-standard", "data/raw"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FolioError(f"git: {done.stderr.strip()}; a sweep needs a git checkout")
    if missing := done.stdout.splitlines():
        raise FolioError(f"git does not know {missing[0]}: `git add` or `dvc add` it before a sweep")


def run(overrides: Sequence[str], name: str) -> None:
    """Run one experiment in a checkout of its own.

    An experiment of that name, which an earlier sweep left, is replaced.

    Raises:
        FolioError: a stage failed.
    """
    if name in run_dvc("exp", "list", "--name-only").split():
        run_dvc("exp", "remove", name)
    settings = [word for override in overrides for word in ("-S", override)]
    run_dvc("exp", "run", "--temp", "-n", name, *settings)


def figures(name: str, file: str) -> Any:
    """What stands in a JSON file of figures of an experiment.

    Raises:
        FolioError: the experiment has no such file.
    """
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        # dvc.api.metrics_show would read the working tree's file too, which need not be there.
        return json.loads(dvc.api.read(file, rev=name))
    except (DvcException, ValueError) as error:
        raise FolioError(f"{file} of experiment {name} cannot be read: {error}") from error


def objective(name: str, path: str) -> float:
    """The figure at `file:key.key` of an experiment, as `metrics/train.json:loss.after`.

    Raises:
        FolioError: the experiment has no such figure.
    """
    file, _, keys = path.partition(":")
    value = figures(name, file)
    for key in keys.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, int | float):
        raise FolioError(f"sweep.objective={path} is no figure of experiment {name}")
    return float(value)


@entrypoint
def main(config: DictConfig) -> float:
    """Run the job's experiment and return its objective to Hydra's sweeper."""
    settings = build(config, "sweep")
    check_documents()
    overrides = list(HydraConfig.get().overrides.task)
    name = experiment_name(overrides)
    run(overrides, name)
    value = objective(name, settings.objective)
    print(f"sweep: {name}: {settings.objective} = {value:g}")
    return value


if __name__ == "__main__":
    main()
