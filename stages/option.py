"""The form of every setting: a frozen, validated dataclass that refuses unknown keys."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Literal

from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from stages.errors import FolioError

setting = dataclass(
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, allow_inf_nan=False),
)
"""Decorator for a stage's block of settings and, by inheritance, for every option."""


Dtype = Literal["auto", "bfloat16", "float16", "float32"]
"""What a model computes in; `auto` is bf16 where the device is fast in it."""


@setting
class Option:
    """One choice of a config group; `name` is its file in conf/<group>/ and stages/<group>/."""

    name: str

    def check(self) -> None:
        """Look for what this machine must have, before any work.

        Raises:
            FolioError: it is missing.
        """


@setting
class LocalModel(Option):
    """An option that has a model on this machine do its work; `identity` says which."""

    model: Any

    def check(self) -> None:
        """The model must be there."""
        self.model.check()

    @property
    def identity(self) -> str:
        """The model's own identity."""
        identity: str = self.model.identity
        return identity


def build(config: DictConfig, key: str) -> Any:
    """Make the object that `config.<key>` describes, its values checked.

    Raises:
        FolioError: names the key and what is wrong with it, with the nearest valid key.
    """
    node = OmegaConf.select(config, key)
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise FolioError(f"{key} is no option: conf/ gives it no _target_")
    group, _, name = key.rpartition(".")
    # One of several in a group goes by its key there, where its sentences say that it stands.
    is_one = bool(group) and "_target_" not in OmegaConf.select(config, group)
    try:
        return instantiate(node, _convert_="all", **({"name": name} if is_one else {}))
    except HydraException as error:
        if isinstance(error.__cause__, ValidationError):
            inner = re.search(r"^full_key: (\S+)$", str(error), re.MULTILINE)
            path = inner[1] if inner else key  # an option within this one may be at fault
            raise FolioError(_explain(path, OmegaConf.select(config, path), error.__cause__)) from error
        if isinstance(error.__cause__, FolioError):
            raise error.__cause__ from error
        raise FolioError(f"{key}: {str(error).splitlines()[0]}") from error


def called(model: DictConfig) -> str:
    """What an option of the group `model` goes by: its id on the hub, its folder or its file."""
    return str(model.get("id") or model.get("path") or model.file)


def nearest(key: str, valid: Iterable[str]) -> str:
    """A hint at the valid key that looks most like `key`, or nothing."""
    match = difflib.get_close_matches(key, list(valid), n=1)
    return f"; did you mean {match[0]}?" if match else ""


def _explain(key: str, node: DictConfig, error: ValidationError) -> str:
    return "; ".join(_sentence(key, node, details) for details in error.errors())


def _sentence(key: str, node: DictConfig, details: ErrorDetails) -> str:
    path = ".".join(str(part) for part in details["loc"])
    match details["type"]:
        case "unexpected_keyword_argument":
            cls = instantiate({"_target_": "hydra.utils.get_class", "path": node._target_})
            return f"{key}.{path} is not a setting{nearest(path, cls.__dataclass_fields__)}"
        case "missing_keyword_only_argument" | "missing":
            return f"{key}.{path} is missing"
        case "value_error":
            return details["msg"].removeprefix("Value error, ")
        case _:
            reason = details["msg"][0].lower() + details["msg"][1:]
            return f"{key}.{path}={details['input']!r}: {reason}"
