"""A model as a format asks it: its weights, its tokenizer with the format's template and tokens."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from stages import cache
from stages.artifact import read_json, whole_folder, write_json
from stages.errors import FolioError
from stages.language_model import read_tokenizer
from stages.wording import Format

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Raised when the way of making the folder changes, so that older ones no longer count.
FORM = 1
NEW = "new_tokens.json"
LINKED = ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json")


@dataclass(frozen=True)
class Formatted:
    """An option of the group `model` with a template or tokens that it does not come with."""

    source: Any
    form: Format

    @property
    def identity(self) -> str:
        """The model's own."""
        identity: str = self.source.identity
        return identity

    @property
    def dtype(self) -> str:
        """What the model computes in."""
        dtype: str = self.source.dtype
        return dtype

    def folder(self) -> Path:
        """A folder with the model as it is asked, made on first use in the user's cache.

        Its weights are links to the model's own, unless tokens are added. Then each embedding has a new row
        for each of them, the mean of those that the tokenizer had used before (Hewitt, 2021, "Initializing
        new word embeddings for pretrained language models"); what is tied stays tied.

        Raises:
            FolioError: the model cannot be read.
        """
        made = self.source.identity, self.form.template, self.form.tokens
        folder = cache.folder() / "formatted" / cache.digest("format", FORM, *made)
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            # Links lead nowhere once the model has been moved.
            if not folder.exists() or not all(path.exists() for path in folder.iterdir()):
                with whole_folder(folder) as staged:
                    _make(self.source.folder(), self.form, staged)
        return folder


def formatted(form: Format, source: Any) -> Any:
    """The model as the format asks it, for an option of the group `model`: itself where nothing differs."""
    return Formatted(source, form) if form.template is not None or form.tokens else source


def new_tokens(source: Any) -> list[int]:
    """The ids of the tokens that a format has added to a model, in ascending order."""
    if not isinstance(source, Formatted):
        return []
    ids: list[int] = read_json(source.folder() / NEW)["ids"]
    return ids


def _make(source: Path, form: Format, folder: Path) -> None:
    tokenizer = read_tokenizer(source)
    if form.template is not None:
        own = "" if "bos_token" in form.template else _bos(tokenizer)
        tokenizer.chat_template = own + form.template
    known = len(tokenizer)
    ids = _add(tokenizer, form.tokens)
    tokenizer.save_pretrained(folder)
    write_json(folder / NEW, {"ids": ids})
    if ids:
        print(f"the embeddings get rows for {', '.join(form.tokens)} (once)")
        grow(_load(source), ids, known).save_pretrained(folder)
        return
    for path in {path for pattern in LINKED for path in source.glob(pattern)}:
        (folder / path.name).symlink_to(path.resolve())


def _bos(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What writes BOS at a template's start, where the tokenizer puts one before whatever it is given."""
    bos = tokenizer.bos_token_id
    return "{{- bos_token -}}" if bos is not None and tokenizer("x")["input_ids"][:1] == [bos] else ""


def _add(tokenizer: "PreTrainedTokenizerBase", tokens: tuple[str, ...]) -> list[int]:
    """Add the tokens that the tokenizer does not have, and give their ids."""
    from transformers import AddedToken

    known = tokenizer.get_vocab()
    fresh = [token for token in tokens if token not in known]
    tokenizer.add_tokens(
        [AddedToken(token, special=True, normalized=False) for token in fresh], special_tokens=True
    )
    return sorted(tokenizer.convert_tokens_to_ids(fresh))


def _load(folder: Path) -> "PreTrainedModel":
    from transformers import AutoModelForCausalLM

    try:  # on the CPU, and in the dtype in which the weights were saved: nothing is rounded
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise FolioError(f"the model in {folder} cannot be loaded: {error}") from error


def grow(model: "PreTrainedModel", ids: list[int], known: int) -> "PreTrainedModel":
    """Give the embeddings, input and output, rows for new tokens: the mean of the rows in use.

    Args:
        model: its embeddings may have more rows than the tokenizer has tokens, as padding; these are reused.
        ids: of the new tokens.
        known: tokens of the tokenizer before they were added.
    """
    import torch

    rows = model.get_input_embeddings().weight.shape[0]
    used = min(rows, known)
    if max(ids) >= rows:
        model.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    fresh = [*ids, *range(rows, max(ids) + 1)]  # a tokenizer may have had tokens without a row
    tables = [
        table
        for module in (model.get_input_embeddings(), model.get_output_embeddings())
        for table in (getattr(module, "weight", None), getattr(module, "bias", None))
        if table is not None
    ]
    with torch.no_grad():
        for table in tables:  # a tied one twice, which changes nothing
            table[fresh] = table[:used].float().mean(0).to(table.dtype)
    return model
