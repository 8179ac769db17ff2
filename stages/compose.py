"""conf/ to params.yaml, every value checked: python -m stages.compose"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from stages.artifact import write_text
from stages.errors import FolioError
from stages.option import Option, build, nearest

CONF = Path("conf")
PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
# Top-level keys that are plain values, not options.
PLAIN = ("seed", "language", "tensorboard")
# Groups of which several options are chosen at once, each under its own name.
SEVERAL = ("source", "filter", "metric", "reward")
# Those of them without which nothing works.
NEEDED = ("source", "filter", "metric")


def compose(conf: Path) -> DictConfig:
    """Compose `conf`/config.yaml with every interpolation resolved.

    Raises:
        FolioError: a file is missing, is no YAML, or names an option that does not exist.
    """
    try:
        with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
            config = hydra_compose("config")
        OmegaConf.resolve(config)
    except YAMLError as error:
        raise FolioError(f"a file in {conf}/ is no YAML: {_one_line(error)}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise FolioError(f"{conf}/ does not compose: {_one_line(error)}") from error
    return config


def _one_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()


def option_keys(config: DictConfig) -> Iterator[str]:
    """Every key that holds an option or a stage's settings: `train`, `metric.squad`, ...

    Raises:
        FolioError: a top-level key is none.
    """
    homes = {str(key): _home(config[key]) for key in config}
    for key, home in homes.items():
        if key in SEVERAL:
            yield from (f"{key}.{name}" for name in config[key] or {})
        elif key == home:
            yield key
        elif key not in PLAIN:
            known = [*filter(None, homes.values()), *PLAIN, *SEVERAL]
            raise FolioError(f"{key} in conf/ is not a setting{nearest(key, known)}")


def _home(node: Any) -> str | None:
    """The key that an option belongs under: stages.settings.train.Train stands at `train`."""
    if not isinstance(node, DictConfig) or "_target_" not in node:
        return None
    parts = str(node._target_).split(".")
    return parts[2] if parts[1:2] == ["settings"] else parts[1] if len(parts) > 1 else None


def validate(config: DictConfig) -> None:
    """Build every option, so that a wrong value fails before any work.

    Raises:
        FolioError: names every wrong key, its fault and the nearest valid key.
    """
    faults = [f"{key} is empty; choose at least one" for key in NEEDED if not config.get(key)]
    for key in option_keys(config):
        try:
            option = build(config, key)
            if isinstance(option, Option):
                option.check()
        except FolioError as error:
            faults.append(str(error))
    if faults:
        raise FolioError("; ".join(faults))


def shape(params: DictConfig, pipeline: str) -> dict[str, Any]:
    """The values that dvc.yaml's templates read: they decide which stages and files there are."""
    names = set(re.findall(r"\$\{([\w.]+)\}", pipeline)) - {"key", "item"}
    items = sorted(name.removeprefix("item.") for name in names if name.startswith("item."))
    found = {name: OmegaConf.select(params, name) for name in sorted(names) if name[:5] != "item."}
    # Of a mapping that a `foreach` walks, the keys make stages, and what their templates read.
    return {
        name: {str(key): [OmegaConf.select(value[key], item) for item in items] for key in sorted(value)}
        if isinstance(value, DictConfig)
        else value
        for name, value in found.items()
    }


def changes(old: DictConfig, new: DictConfig) -> list[str]:
    """Each changed value as `train.learning_rate: 0.0005 -> 0.0002`."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return [f"{key}: {_brief(before, key)} -> {_brief(after, key)}" for key in keys]


def _brief(values: dict[str, Any], key: str) -> str:
    text = " ".join(str(values.get(key, "(none)")).split())
    return text if len(text) <= 40 else f"{text[:36]} ..."


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, DictConfig):
        for key in map(str, node):
            yield from _leaves(node[key], f"{path}.{key}".lstrip("."))
    else:
        yield path, node


def run() -> None:
    """Write params.yaml, or inside `dvc exp run`, where DVC has composed it, check it alone.

    Raises:
        FolioError: a value is wrong, or the change makes other stages than DVC is running.
    """
    if os.environ.get("DVC_EXP_BASELINE_REV"):
        validate(_load(PARAMS))
        return
    new = compose(CONF)
    validate(new)
    old = _load(PARAMS) if PARAMS.exists() else None
    write_text(PARAMS, OmegaConf.to_yaml(new))
    if old is None:
        return
    for change in changes(old, new):
        print(f"compose: {change}")
    pipeline = PIPELINE.read_text(encoding="utf-8")
    if os.environ.get("DVC_STAGE") and shape(old, pipeline) != shape(new, pipeline):
        raise FolioError("the pipeline changed shape: run `dvc repro` again")


def _load(path: Path) -> DictConfig:
    try:
        config = OmegaConf.load(path)
    except (OSError, YAMLError) as error:
        raise FolioError(f"{path} cannot be read ({_one_line(error)}); delete it and try again") from error
    if not isinstance(config, DictConfig):
        raise FolioError(f"{path} holds no mapping; delete it and run `python -m stages.compose`")
    return config


def main() -> None:
    """Run, with an expected failure as one sentence and exit status 1."""
    try:
        run()
    except FolioError as error:
        sys.exit(f"folio: {error}")


if __name__ == "__main__":
    main()
