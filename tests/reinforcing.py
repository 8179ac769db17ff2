"""A folder in which the reinforce stage runs on the tiny model: questions, an adapter, a simple reward."""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from stages import jsonl
from tests.imports import ROOT
from tests.training import tuned

PLAIN = (
    "reinforce.prompts=2", "reinforce.samples=4", "reinforce.batch=4", "reinforce.steps=6",
    "reinforce.iterations=2",
    "reinforce.maximum_tokens=6", "reinforce.evaluate_steps=4", "reinforce.save_steps=2",
    "reinforce.learning_rate=0.01", "reinforce.validation_share=0.3", "method.r=4", "method.dropout=0.1",
    "reward=[length]", "reward.length.words=[1,2]", "reward.length.fall=6",
)  # fmt: skip
WORDS = "the incident response team handles reports what did organization".split()


def record(n: int) -> dict[str, Any]:
    """A trained question; every third one has no passage, every fourth a turn before it."""
    passage = None if n % 3 == 0 else f"the team {WORDS[n % 9]} handles the incident {n}"
    asked = {"id": f"{n:016x}", "chunk": f"chunk {n}", "document": "a.csv", "line": n + 1, "pages": None}
    asked |= {"passage": passage, "question": f"what did {WORDS[n % 9]} {n}", "answer": f"the {WORDS[n % 7]}"}
    turns = [{"role": "user", "content": "did it"}, {"role": "assistant", "content": "the team did"}]
    return asked | ({"history": turns} if n % 4 == 0 else {})


def configured(model: Path, *words: str) -> DictConfig:
    # Another method has other knobs.
    plain = [one for one in PLAIN if not one.startswith("method.") or "method=full" not in words]
    own = ["model=folder", f"model.path={model}", "model.dtype=float32", "objective=grpo", *plain]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", [*own, *words])


def prepared(folder: Path, model: Path, count: int = 20) -> None:
    """The stage's inputs."""
    jsonl.write(folder / "data/trained.jsonl", map(record, range(count)))
    tuned(model, folder)
