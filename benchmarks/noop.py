"""A `dvc repro` with nothing to do, against the same pipeline with commands that do nothing.

    python -m benchmarks.noop [--runs 5]

Both are copies of this project with small files in place of the artifacts; runs alternate. The last
line is one JSON object: seconds as medians, and their ratio.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from dvc.repo import Repo

from tests.checkout import Checkout

FOLDERS = {"tokens", "adapter", "train", "merged", "report"}


def prepare(folder: Path) -> Checkout:
    """A copy of the project in which DVC holds every stage for done."""
    checkout = Checkout(folder, folder / "cache")
    (folder / "data/raw/one.pdf").write_text("a file to depend on", encoding="utf-8")
    with Repo(str(folder)) as repo:
        outs = [Path(out.fs_path) for out in repo.index.outs]
    for out in outs:
        file = out / "part" if out.name in FOLDERS else out
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text("{}", encoding="utf-8")
    (folder / "data/tokens/validation.parquet").write_text("{}", encoding="utf-8")
    done = checkout.dvc("commit", "--force")
    if done.returncode:
        sys.exit(done.stderr)
    return checkout


def silence(checkout: Checkout) -> None:
    """Replace every command by `true`."""
    path = checkout.folder / "dvc.yaml"
    path.write_text(re.sub(r"cmd: .*", "cmd: 'true'", path.read_text(encoding="utf-8")), encoding="utf-8")
    checkout.dvc("commit", "--force")


def seconds(checkout: Checkout) -> float:
    """One nothing-to-do `dvc repro`."""
    start = time.perf_counter()
    done = checkout.dvc("repro")
    taken = time.perf_counter() - start
    if "Running stage" in done.stdout or done.returncode:
        sys.exit(f"there was something to do: {done.stdout}{done.stderr}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as place:
        folio, bare = prepare(Path(place) / "folio"), prepare(Path(place) / "bare")
        silence(bare)
        taken: dict[str, list[float]] = {"folio": [], "bare": []}
        for run in range(runs + 1):
            for name, checkout in (("folio", folio), ("bare", bare)):
                spent = seconds(checkout)
                if run:  # the first of each warms the disk
                    taken[name].append(spent)
                    print(f"{name}: {spent:.2f} s")
    medians = {name: round(statistics.median(values), 3) for name, values in taken.items()}
    print(json.dumps({"runs": runs, **medians, "ratio": round(medians["folio"] / medians["bare"], 3)}))


if __name__ == "__main__":
    main()
