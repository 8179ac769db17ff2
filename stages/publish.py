"""The folder that would be published: model, tokenizer, card: python -m stages.publish [override ...]"""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stages import card, jsonl, licence
from stages.artifact import read_json, whole_folder, write_json, write_text
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.language_model import saved_dtype
from stages.option import build
from stages.printable import LONGEST_NAME, printable
from stages.settings.publish import Publish

MERGED = Path("models/merged")
PUBLISHED = Path("models/published")
METRICS = Path("metrics")
SIDES = (Path("data/trained.jsonl"), Path("data/test.jsonl"))
# The groups whose settings decide what was learnt.
GROUPS = ("format", "method", "train", "tokenize")


def weights(source: Path, target: Path, dtype: str, shard: float) -> str:
    """Write the model's files into `target`, but for its card; return the numbers of the weights.

    Where neither kind nor size changes they are copies: DVC's cache keeps equal files once. They are no
    hard links, since a stage sets the mode of what it writes, and a linked file may be the cache's own.

    Args:
        source: a merged model's folder.
        target: an empty folder.
        dtype: of the weights, or `merged` for that of `source`.
        shard: GB a file of weights may have.

    Raises:
        FolioError: a weight is too large a number for `dtype`.
    """
    merged = saved_dtype(source)
    chosen = merged if dtype == "merged" else dtype
    files = sorted(source.glob("*.safetensors"))
    is_same = chosen == merged and all(path.stat().st_size <= shard * 1e9 for path in files)
    for path in sorted(source.iterdir()):
        is_weight = path.name.endswith((".safetensors", ".safetensors.index.json"))
        if path.name != "README.md" and (is_same or not is_weight):
            copy = shutil.copytree if path.is_dir() else shutil.copyfile  # a tokenizer's further templates
            copy(path, target / path.name)
    if not is_same:
        _convert(files, target, chosen, shard)
        config = read_json(source / "config.json")
        write_json(target / "config.json", config if chosen == "auto" else config | {"dtype": chosen})
    return chosen


def _convert(files: list[Path], target: Path, dtype: str, shard: float) -> None:
    import torch
    from huggingface_hub import save_torch_state_dict
    from safetensors.torch import load_file

    state = {}
    for path in files:
        for name, tensor in load_file(path).items():
            is_cast = tensor.is_floating_point() and dtype != "auto"
            state[name] = tensor.to(getattr(torch, dtype)) if is_cast else tensor
            if is_cast and not bool(torch.isfinite(state[name]).all()):
                raise FolioError(
                    f"{name} holds a number that {dtype} cannot: set publish.dtype=bfloat16 or merged"
                )
    save_torch_state_dict(state, target, max_shard_size=int(shard * 1e9))


def base(config: DictConfig) -> dict[str, str]:
    """What was tuned: its name in words, and for a model of the hub its id; no place on this machine."""
    model = config.model
    if "id" in model:
        return {
            "id": str(model.id),
            "told": f"{printable(model.id, 200)} at revision {printable(model.revision, 60)}",
        }
    if model.name == "scratch":
        return {"told": f"A {printable(model.architecture, 60)} model of random weights"}
    name = printable(Path(str(model.get("file") or model.get("path") or model.name)).name, 200)
    return {"told": f"{name} of the Python package {model.package}" if "package" in model else name}


def documents(most: int) -> dict[str, Any]:
    """Trained and held-out questions of each source, of the `most` with most of them by name."""
    trained, held = (
        Counter(printable(row.get("document"), LONGEST_NAME) or "no name" for row in jsonl.read(side))
        for side in SIDES
    )
    both = trained + held
    names = sorted(both, key=lambda name: (-both[name], name))
    named = [(name, trained[name], held[name]) for name in names[:most]]
    return {"named": named, "others": len(names) - len(named)}


def datasets(config: DictConfig) -> list[str]:
    """The hub's data sets among the sources: a file has no revision."""
    return sorted({str(source.path) for source in config.source.values() if source.get("revision")})


def gather(config: DictConfig, settings: Publish, source: Any) -> dict[str, Any]:
    """Everything that the card says, but for the numbers of the weights.

    Raises:
        FolioError: a file of an earlier stage is missing or damaged.
    """
    stages = {
        name: read_json(METRICS / f"{name}.json")
        for name in ("tokenize", "train", "merge", "retain", "audit")
    }
    is_aligned = config.objective.name != "none"
    return {
        "title": settings.title,
        "base": base(config),
        "licence": licence.of(source),
        "datasets": datasets(config),
        "tags": [config.method.name, *([config.objective.name] if is_aligned else [])],
        "documents": documents(settings.documents),
        "rows": stages["tokenize"],
        "train": stages["train"],
        "merge": stages["merge"],
        "retained": stages["retain"],
        "audited": stages["audit"],
        "scores": {name: read_json(METRICS / "score" / f"{name}.json") for name in config.metric},
        "main": config.report.main,
        "forgetting": config.report.forgetting,
        "recipe": recipe(config),
    }


def recipe(config: DictConfig) -> list[tuple[str, str]]:
    """The settings that decided what was learnt; of an alignment those of the stage that did it."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    groups = [*GROUPS]
    if plain["align"]["objectives"]:
        groups += ["objective", "align"]
    if plain["reinforce"]["objectives"]:
        rewards = {f"reward.{name}": plain["reward"][name] for name in plain["reinforce"]["rewards"]}
        plain |= rewards
        groups += ["objective", "reinforce", *rewards]
    return card.recipe(plain, groups)


@entrypoint
def main(config: DictConfig) -> None:
    """Write models/published/."""
    settings, source = (build(config, key) for key in ("publish", "model"))
    facts = gather(config, settings, source)
    with whole_folder(PUBLISHED) as folder:
        dtype = weights(MERGED, folder, settings.dtype, settings.shard)
        facts["dtypes"] = {"measured": saved_dtype(MERGED), "published": dtype}
        write_text(folder / "README.md", card.write(facts))
    known = facts["licence"].get("license", "not known")
    print(f"publish: {PUBLISHED}, weights in {dtype}; licence of the base: {known}")


if __name__ == "__main__":
    main()
