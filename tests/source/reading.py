"""Sources with the settings of conf/, and what they make of a file."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from stages.option import build
from stages.origin import REASONS, Refusal, Source
from tests.imports import ROOT


def source(name: str, path: Path, /, **knobs: Any) -> Any:
    """The option of conf/source/<name>.yaml, reading `path`."""
    shared = OmegaConf.load(ROOT / "conf/table/any.yaml")
    own = OmegaConf.load(ROOT / f"conf/source/{name}.yaml")
    own.pop("defaults")
    settings = OmegaConf.merge(shared, own, {"path": str(path)}, knobs)
    return build(OmegaConf.create({"seed": 0, "source": {name: settings}}), f"source.{name}")


def split(reader: Source) -> tuple[list[dict[str, Any]], list[Refusal]]:
    """Records and refusals, whose reasons are among those that the documentation lists."""
    found = list(reader.records())
    refusals = [one for one in found if isinstance(one, Refusal)]
    assert {refusal.reason for refusal in refusals} <= set(REASONS)
    assert all(refusal.detail.isprintable() and len(refusal.detail) < 400 for refusal in refusals)
    return [one for one in found if not isinstance(one, Refusal)], refusals


def reasons(reader: Source) -> list[tuple[int, str]]:
    """The line and the reason of each refusal."""
    return [(refusal.line, refusal.reason) for refusal in split(reader)[1]]


def counts(reader: Source) -> dict[str, int]:
    """How many records, and how many refusals of each reason."""
    records, refusals = split(reader)
    return {"kept": len(records)} | Counter(refusal.reason for refusal in refusals)


def write_lines(path: Path, *rows: Any) -> Path:
    """Rows as JSON lines; text as it is."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
