"""Formats as conf/ has them."""

from typing import Any

from omegaconf import OmegaConf

from stages.option import build
from stages.wording import Format
from tests.imports import ROOT


def form(name: str, **changes: Any) -> Format:
    config = OmegaConf.load(ROOT / f"conf/format/{name}.yaml")
    made: Format = build(OmegaConf.create({"format": OmegaConf.merge(config, changes)}), "format")
    return made


CHAT = form("chat")
