"""A whole recipe in one process: the stages that its config chooses, in the order of dvc.yaml.

What dvc does with them is tested elsewhere; a process for each stage would import torch twenty times.
"""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig, ListConfig, OmegaConf

from stages.compose import validate
from tests.imports import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
VALUE = re.compile(r"\$\{([\w.]+)\}")


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = hydra_compose("config", list(overrides))
    OmegaConf.resolve(config)
    return config


def commands(config: DictConfig) -> Iterator[tuple[str, str]]:
    """The name and the command of every stage that the config chooses."""
    for name, stage in PIPELINE.items():
        if "foreach" not in stage:
            yield name, VALUE.sub(lambda m: str(OmegaConf.select(config, m[1])), stage["cmd"])
            continue
        found = VALUE.fullmatch(stage["foreach"])
        assert found
        several = OmegaConf.select(config, found[1])
        for key in several:
            item = key if isinstance(several, ListConfig) else ""
            command = stage["do"]["cmd"].replace("${key}", str(key)).replace("${item}", str(item))
            yield f"{name}@{key}", command


def run(config: DictConfig) -> list[str]:
    """Run the stages in the working folder, and return their names."""
    validate(config)
    ran = []
    for name, command in commands(config):
        if name == "compose":
            Path("params.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
            continue
        module, *words = command.removeprefix("python -m ").split()
        own = OmegaConf.merge(config, OmegaConf.from_dotlist([word for word in words if "=" in word]))
        main: Any = importlib.import_module(module).main
        main.__wrapped__(own)
        ran.append(name)
    return ran
