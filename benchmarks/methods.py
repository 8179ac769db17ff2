"""Every training method on the embedded model: weights that learn, peak memory, tokens a second.

    python -m benchmarks.methods [--pairs DIR] [--steps 12] [--repeat 3] [--only NAME ...]

Each method trains on the first rows of DIR/train.parquet (data/tokens: the last run's own) with its settings
of conf/, `--steps` steps of train.batch rows, in a process of its own. Tokens are those of every row, prompt
included, as if each row stood alone. Memory is the peak of the process. The last line is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from benchmarks.train import timed
from benchmarks.trainers import Job
from stages import tokens
from stages.entry import CONF
from stages.errors import FolioError
from stages.option import build

METHODS = sorted(path.stem for path in (Path(CONF) / "method").glob("*.yaml"))


def measured(name: str, rows: Path, repeat: int, folder: Path) -> dict[str, Any]:
    """The medians over `repeat` processes."""
    words = [f"method={name}", "train.epochs=1", "train.questions=0", "train.save_steps=0"]
    # Weights that all learn move too far at an adapter's rate.
    words += ["train.learning_rate=2e-5"] if name == "full" else []
    runs = [timed(Job("folio", str(rows), words), folder) for _ in range(repeat)]
    speeds = [run["examples_per_second"] * run["tokens_per_step"] / run["batch"] for run in runs]
    return {
        "trainable": runs[0]["trainable"],
        "peak_mib": round(statistics.median(run["peak_mib"] for run in runs)),
        "tokens_per_second": round(statistics.median(speeds)),
        "loss": [round(runs[0]["losses"][at], 3) for at in (0, -1)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, default=Path("data/tokens"), help="the folder of train.parquet")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=METHODS, default=METHODS)
    options = parser.parse_args()
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("config")
    build(config, "model").folder()  # de-quantised here on first use: no method's memory is to hold that
    rows = tokens.read(options.pairs / "train.parquet")[: options.steps * config.train.batch]
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "train.parquet"
        tokens.write(file, rows)
        figures = {}
        for name in options.only:
            figures[name] = one = measured(name, file, options.repeat, Path(place))
            numbers = f"{one['trainable']:>12,}{one['peak_mib']:>8} MiB{one['tokens_per_second']:>8} tokens/s"
            print(f"{name:8}{numbers}", flush=True)
    print(json.dumps({"rows": len(rows), "batch": config.train.batch, "methods": figures}))


if __name__ == "__main__":
    try:
        main()
    except FolioError as error:
        sys.exit(f"folio: {error}")
