"""A folder in Hugging Face's format: config.json, safetensors, tokenizer."""

from pathlib import Path

from stages.errors import FolioError
from stages.option import Dtype, Option, setting


@setting
class Folder(Option):
    """`path` is the folder; weights must be safetensors."""

    path: str
    dtype: Dtype
    watch: str

    def check(self) -> None:
        """The folder must hold a model."""
        self.folder()

    @property
    def identity(self) -> str:
        """Name, length and time of every file in the folder."""
        files = sorted(path for path in self.folder().rglob("*") if path.is_file())
        facts = ((path.name, path.stat()) for path in files)
        return "|".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in facts)

    def folder(self) -> Path:
        """Return the folder.

        Raises:
            FolioError: it is no model folder, or its weights are pickled.
        """
        path = Path(self.path).expanduser()
        if not (path / "config.json").is_file():
            raise FolioError(f"{path} (model.path) holds no config.json: it is no model folder")
        if not any(path.glob("*.safetensors")):
            raise FolioError(
                f"{path} (model.path) holds no safetensors; Folio opens no pickled weights: "
                "convert the model first"
            )
        return path
