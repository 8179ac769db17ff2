import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from stages.curves import FIGURES, SPEED, Curves, TensorBoard
from stages.errors import FolioError
from tests.checkout import NAMES
from tests.imports import ROOT

PLOTS = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
# A training run of made-up figures: a scale tells one run's curves from another's.
WRITER = """
import sys
from importlib.util import find_spec
from pathlib import Path
import yaml
scale = yaml.safe_load(Path("params.yaml").read_text())["scale"]
for name in sys.argv[1:]:
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{step}\\t{scale / (step + 1)}" for step in range(4)]
    file.write_text("\\n".join([f"step\\t{file.stem}", *rows]) + "\\n")
"""
SCALES = {"exp-a": 1.0, "exp-b": 3.0}
LOGS: list[dict[str, Any]] = [
    {"eval_loss": 2.0, "eval_perplexity": 7.389, "eval_f1": 0.25, "eval_exact": 0.0, "step": 0},
    {"loss": 1.5, "grad_norm": 0.5, "learning_rate": 0.1, "tokens_per_second": 100.0, "step": 1},
    {"loss": 1.25, "grad_norm": 0.25, "learning_rate": 0.05, "tokens_per_second": 90.0, "step": 2},
    {"eval_loss": 1.0, "eval_bertscore": 0.5, "eval_runtime": 3.0, "epoch": 1.0, "step": 2},
]


def run(curves: Curves, history: list[dict[str, Any]], logs: list[dict[str, Any]], main: bool = True) -> None:
    state = SimpleNamespace(log_history=history, is_world_process_zero=main, global_step=0)
    curves.on_train_begin(None, state, None)
    for entry in logs:
        state.global_step = entry["step"]
        curves.on_log(None, state, None, logs=entry)
    curves.on_train_end(None, state, None)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


def test_each_figure_has_a_plot_of_its_own_and_throughput_stands_apart(tmp_path: Path) -> None:
    run(Curves(tmp_path / "train", tmp_path / "speed"), [], LOGS)
    train = contents(tmp_path / "train/plots/metrics")
    assert train["train/loss.tsv"].split() == "step loss 1 1.5 2 1.25".split()
    assert train["validation/loss.tsv"].split() == "step loss 0 2.0 2 1.0".split()
    assert sorted(train) == sorted(f"{curve}.tsv" for curve in FIGURES.values())
    speed = contents(tmp_path / "speed/plots/metrics")
    assert {name: text.split() for name, text in speed.items()} == {
        "tokens_per_second.tsv": "step tokens_per_second 1 100.0 2 90.0".split()
    }
    assert "tokens_per_second" not in "".join(contents(tmp_path / "train").values())


def test_a_resumed_run_writes_what_an_uninterrupted_one_writes(tmp_path: Path) -> None:
    for name, before in (("whole", 0), ("resumed", 2)):
        run(Curves(tmp_path / name / "train", tmp_path / name / "speed"), LOGS[:before], LOGS[before:])
    assert contents(tmp_path / "whole") == contents(tmp_path / "resumed")


def test_equal_runs_of_different_speed_write_equal_curves(tmp_path: Path) -> None:
    slow = [entry | ({"tokens_per_second": 1.0} if "loss" in entry else {}) for entry in LOGS]
    for name, logs in (("fast", LOGS), ("slow", slow)):
        run(Curves(tmp_path / name, tmp_path / f"{name}-speed"), [], logs)
    assert contents(tmp_path / "fast") == contents(tmp_path / "slow")
    assert contents(tmp_path / "fast-speed") != contents(tmp_path / "slow-speed")


def test_a_process_that_is_not_the_main_one_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    run(Curves(tmp_path / "train", tmp_path / "speed"), LOGS[:1], LOGS[1:], main=False)
    assert contents(tmp_path) == {}


def test_every_file_that_dvc_plots_is_written_and_every_figure_is_plotted() -> None:
    written = {f"plots/train/plots/metrics/{curve}.tsv" for curve in FIGURES.values()}
    written |= {f"plots/speed/plots/metrics/{curve}.tsv" for curve in SPEED.values()}
    assert {file for plot in PLOTS for entry in plot.values() for file in entry["y"]} == written


def test_a_number_that_is_none_is_no_failure(tmp_path: Path) -> None:
    run(Curves(tmp_path / "train", tmp_path / "speed"), [], [{"grad_norm": float("inf"), "step": 1}])
    assert contents(tmp_path / "train")["plots/metrics/gradient_norm.tsv"].split()[-1] == "inf"


def test_tensorboard_gets_every_number_once_also_after_a_resume(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    state = SimpleNamespace(is_world_process_zero=True, global_step=0)
    for first, logs in (
        (0, LOGS),
        (0, LOGS),
        (1, LOGS[2:]),
    ):  # started anew, then killed: its last checkpoint is of step 1
        board = TensorBoard(tmp_path)
        state.global_step = first
        board.on_train_begin(None, state, None)
        for entry in logs:
            state.global_step = entry["step"]
            board.on_log(None, state, None, logs=entry)
        board.on_train_end(None, state, None)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 1.5), (2, 1.25)]
    assert [(event.step, event.value) for event in events.Scalars("validation/loss")] == [(0, 2.0), (2, 1.0)]


@pytest.mark.skipif(find_spec("tensorboard") is not None, reason="tensorboard is installed")
def test_a_missing_tensorboard_is_named() -> None:
    with pytest.raises(FolioError, match="pip install tensorboard"):
        TensorBoard.check()


class Scratch:
    """A repository with the project's own plots and a training stage of made-up figures."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self._environment = folder, environment
        files = [file for plot in PLOTS for entry in plot.values() for file in entry["y"]]
        train = {
            "cmd": f"{sys.executable} write.py {' '.join(files)}",
            "params": ["scale"],
            "outs": ["plots/train", {"plots/speed": {"cache": False}}],
        }
        pipeline = {"stages": {"train": train}, "plots": PLOTS}
        (folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
        (folder / "params.yaml").write_text("scale: 1.0\n", encoding="utf-8")
        (folder / "write.py").write_text(WRITER, encoding="utf-8")
        self.call("git", "init", "-q", "-b", "main")
        self.dvc("init", "-q")
        self.call("git", "add", "-A")
        self.call("git", "commit", "-q", "-m", "state")

    def call(self, *words: str) -> str:
        done = subprocess.run(
            words, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def dvc(self, *words: str) -> str:
        return self.call(sys.executable, "-m", "dvc", *words)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    made = Scratch(tmp_path_factory.mktemp("scratch"), os.environ | NAMES | {"DVC_NO_ANALYTICS": "1"})
    for name, scale in SCALES.items():
        made.dvc("exp", "run", "-q", "-n", name, "-S", f"scale={scale}")
    return made


def drawn(values: list[dict[str, str]], files: dict[str, str]) -> dict[tuple[str, str], list[float]]:
    """The values of each curve of a plot, by revision and file."""
    curves: dict[tuple[str, str], list[float]] = {}
    single, field = next(iter(files.items()))
    for row in values:
        # DVC names a curve by its file where they share a field, else by both.
        name = row.get("filename") or row.get("filename::field") or single
        number = row.get("dvc_inferred_y_value") or row[field]
        curves.setdefault((row["rev"], name.split("::")[0]), []).append(float(number))
    return curves


def expected(files: dict[str, str], scales: dict[str, float]) -> dict[tuple[str, str], list[float]]:
    # DVC leaves out the folders that all files of a plot share.
    shared = len(os.path.commonpath(list(files))) + 1 if len(files) > 1 else 0
    return {
        (name, file[shared:]): [scale / (step + 1) for step in range(4)]
        for file in files
        for name, scale in scales.items()
    }


def test_dvc_draws_the_curves_of_two_experiments_together(scratch: Scratch) -> None:
    scratch.dvc("plots", "diff", *SCALES)
    page = (scratch.folder / "dvc_plots/index.html").read_text(encoding="utf-8")
    specs = [json.loads(line) for line in re.findall(r"var spec = (.*);$", page, re.MULTILINE)]
    assert len(specs) == len(PLOTS) == 6
    for spec, (plot,) in zip(specs, (entry.values() for entry in PLOTS), strict=True):
        assert spec["title"]["text"] == plot["title"]
        assert drawn(spec["data"]["values"], plot["y"]) == expected(plot["y"], SCALES)
        assert spec["encoding"]["color"]["scale"]["domain"] == list(SCALES)
        # Curves of one experiment share a colour: dashes tell its files apart.
        if len(plot["y"]) > 1:
            assert len(spec["encoding"]["strokeDash"]["scale"]["domain"]) == len(plot["y"])


def test_dvc_draws_the_training_and_the_validation_loss_of_the_workspace(scratch: Scratch) -> None:
    shown = json.loads(scratch.dvc("plots", "show", "--json"))
    assert "errors" not in shown
    (loss,) = shown["data"]["loss"]
    values = loss["content"]["data"]["values"]
    assert drawn(values, PLOTS[0]["loss"]["y"]) == {
        ("workspace", "train/loss.tsv"): [3.0, 1.5, 1.0, 0.75],
        ("workspace", "validation/loss.tsv"): [3.0, 1.5, 1.0, 0.75],
    }
