"""A GGUF file on disk, de-quantised once."""

from pathlib import Path

from stages.errors import FolioError
from stages.gguf import as_folder, file_identity
from stages.option import Dtype, Option, setting


@setting
class Gguf(Option):
    """`path` is the file; a change of the file is noticed."""

    path: str
    dtype: Dtype
    watch: str

    @property
    def identity(self) -> str:
        """Name, length and time of the file.

        Raises:
            FolioError: there is no such file.
        """
        path = self.weights()
        if not path.is_file():
            raise FolioError(f"the GGUF file {path} is missing; set model.path to an existing file")
        return file_identity(path)

    def check(self) -> None:
        """The file must be there."""
        _ = self.identity

    def weights(self) -> Path:
        """Return the GGUF file."""
        return Path(self.path).expanduser()

    def folder(self) -> Path:
        """Return the model's folder, de-quantised on first use."""
        return as_folder(self.weights(), self.identity)
