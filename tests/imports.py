"""What a stage imports, read from the source: modules, the options it builds, and theirs in turn."""

import ast
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

ROOT = Path(__file__).parent.parent
BUILD = re.compile(r'build\(config, f?"([\w.{}]+)"\)')
BUILD_EACH = re.compile(r"build\(config, key\) for key in \(([^)]*)\)")


def module_file(name: str) -> Path | None:
    """stages.decode -> stages/decode.py, relative to the repository; None for a package."""
    path = Path(*name.split("."))
    file = path.with_suffix(".py")
    return file if (ROOT / file).is_file() else None


def direct(file: Path) -> set[Path]:
    """The modules of Folio that a file imports anywhere, also inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {path for name in names if name.startswith("stages") and (path := module_file(name))}


def closure(files: set[Path]) -> set[Path]:
    """The files and everything that they import, directly or not."""
    seen: set[Path] = set()
    todo = set(files)
    while todo:
        file = todo.pop()
        seen.add(file)
        todo |= direct(file) - seen
    return seen


def targets(node: Any) -> set[Path]:
    """The option modules that a config node names, nested ones included."""
    if isinstance(node, ListConfig):
        return set().union(*map(targets, node))
    if not isinstance(node, DictConfig):
        return set()
    found = {module_file(node._target_.rpartition(".")[0])} if "_target_" in node else set()
    return {path for path in found if path}.union(*(targets(node[key]) for key in node), set())


def built(file: Path, config: DictConfig) -> set[Path]:
    """The option modules that a stage builds by `build(config, key)`."""
    source = (ROOT / file).read_text(encoding="utf-8")
    keys = BUILD.findall(source)
    for group in BUILD_EACH.findall(source):
        keys += re.findall(r'"([\w.]+)"', group)
    return set().union(*(targets(OmegaConf.select(config, key)) for key in keys if "{" not in key))
