"""GGUF files as ordinary model folders: de-quantised once, kept in the user's cache."""

from pathlib import Path

from filelock import FileLock

from stages import cache
from stages.artifact import whole_folder
from stages.errors import FolioError


def file_identity(path: Path) -> str:
    """Name, length and time of a file: what tells one version of a local file from another."""
    facts = path.stat()
    return f"{path.name}:{facts.st_size}:{facts.st_mtime_ns}"


def as_folder(path: Path, identity: str) -> Path:
    """Return a folder with `path`'s weights in bf16 safetensors, its tokenizer and config.

    Raises:
        FolioError: the file is missing or transformers cannot read it.
    """
    if not path.is_file():
        raise FolioError(f"the GGUF file {path} is missing; set model.path to an existing file")
    folder = cache.folder() / "models" / cache.digest("gguf", identity)
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            print(f"de-quantising {path.name} (once)")
            with whole_folder(folder) as staged:
                _convert(path, staged)
    return folder


def _convert(path: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
    except Exception as error:  # a damaged file fails in as many ways as it has fields
        raise FolioError(f"{path} cannot be read as a GGUF model: {error}") from error
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
