"""The model that a Python package carries: nothing to download, no account."""

import importlib.metadata
import importlib.util
from pathlib import Path

from stages import gguf
from stages.errors import FolioError
from stages.option import Dtype, Option, setting


@setting
class Embedded(Option):
    """A GGUF file inside an installed package, pinned by the package's version."""

    package: str
    file: str
    dtype: Dtype
    watch: str

    @property
    def identity(self) -> str:
        """The package, its version and the file.

        Raises:
            FolioError: the package is not installed.
        """
        try:
            version = importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError as error:
            raise FolioError(
                f"the package {self.package} (model.package) is not installed; run `make env`"
            ) from error
        return f"{self.package}=={version}/{self.file}"

    def check(self) -> None:
        """The package must be installed."""
        _ = self.identity

    def weights(self) -> Path:
        """Return the GGUF file.

        Raises:
            FolioError: the package is not installed, or carries no folder.
        """
        _ = self.identity
        # Found, not imported: the package's own code needs a program that Folio does not.
        spec = importlib.util.find_spec(self.package.replace("-", "_"))
        places = spec.submodule_search_locations if spec else None
        if not places:
            raise FolioError(f"the package {self.package} (model.package) carries no folder")
        return Path(places[0]) / self.file

    def folder(self) -> Path:
        """Return the model's folder, de-quantised on first use."""
        return gguf.as_folder(self.weights(), self.identity)
