"""Vectors of sentences, by an embedding model that a package carries."""

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.errors import FolioError
from stages.language_model import pick_device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def model_folder(package: str, key: str) -> Path:
    """The folder of the model that an installed package carries; `key` is the setting that names the package.

    Raises:
        FolioError: the package is not installed, or carries no model.
    """
    # Found, not imported: the package's own code may need what Folio does not.
    spec = importlib.util.find_spec(package.replace("-", "_"))
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise FolioError(f"the package {package} ({key}) is not installed; run `make env`")
    folder = Path(places[0]) / "model"
    if not (folder / "model.safetensors").is_file():
        raise FolioError(f"the package {package} ({key}) carries no model/model.safetensors; name another")
    return folder


@dataclass(frozen=True)
class Embedder:
    """Sentence vectors in fp32: the mean of the last layer's token vectors, of length 1.

    So sentence-transformers computes them (Reimers and Gurevych, 2019, arXiv:1908.10084). The model is
    loaded at the first text. `batch` texts of like length are computed at once; `key` is the setting that
    names the package, for its error.
    """

    package: str
    batch: int
    key: str = "package"

    def __call__(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return [texts, width]; a text counts to the model's longest sequence (256 tokens).

        Raises:
            FolioError: the package is not installed, or its model cannot be loaded.
        """
        import numpy as np
        from tqdm import tqdm

        vectors = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        rows = self._tokenize(texts)
        # The longest first: what does not fit into memory shows at once.
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        batches = range(0, len(order), self.batch)
        for at in tqdm(batches, desc="vectors", unit="batch", leave=False, disable=None):
            some = order[at : at + self.batch]
            vectors[some] = self._embed([rows[index] for index in some])
        return vectors

    def unknown(self, texts: Sequence[str]) -> list[float]:
        """The share of each text's tokens that the model's vocabulary lacks: it reads all of them alike.

        Raises:
            FolioError: as above.
        """
        unknown = self._tokenizer.unk_token_id
        # The first and the last token are the model's own.
        bare = (row[1:-1] for row in self._tokenize(texts))
        return [row.count(unknown) / len(row) if row else 0.0 for row in bare]

    @cached_property
    def _folder(self) -> Path:
        return model_folder(self.package, self.key)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(self._folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise FolioError(
                f"the tokenizer in {self._folder} ({self.key}) cannot be loaded: {error}"
            ) from error

    @cached_property
    def _model(self) -> Any:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            model = AutoModel.from_pretrained(
                self._folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise FolioError(f"the model in {self._folder} ({self.key}) cannot be loaded: {error}") from error
        return model.to(pick_device()).eval()

    @cached_property
    def _longest(self) -> int:
        """Tokens of a text that count: as the model was trained, at most as many as it has positions for."""
        file = self._folder / "sentence_bert_config.json"
        told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        positions: int = self._model.config.max_position_embeddings
        return min(positions, told.get("max_seq_length") or positions)

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        # What is no Unicode text (half a surrogate pair) the tokenizer would refuse.
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        rows: list[list[int]] = self._tokenizer(clean, truncation=True, max_length=self._longest)["input_ids"]
        return rows

    def _embed(self, rows: list[list[int]]) -> "NDArray[np.float32]":
        import torch

        device = self._model.device
        width = max(map(len, rows))
        padding = self._tokenizer.pad_token_id
        ids = torch.tensor([row + [padding] * (width - len(row)) for row in rows], device=device)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        mask = torch.arange(width, device=device) < lengths[:, None]
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            total = (hidden * mask[..., None]).sum(dim=1)
            vectors: NDArray[np.float32] = torch.nn.functional.normalize(total, dim=1).float().cpu().numpy()
        return vectors
