"""A model of the Hugging Face hub, pinned to a commit."""

from pathlib import Path

from stages.errors import FolioError
from stages.option import Dtype, Option, setting

# Weights as safetensors alone, and no Python: nothing that is downloaded is executed.
# The card (README.md) names the licence.
WANTED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "*.txt", "README.md"]


@setting
class Hub(Option):
    """`id` is owner/name; `revision` a commit or tag; a token comes from HF_TOKEN or the hub's own login."""

    id: str
    revision: str
    dtype: Dtype
    watch: str

    @property
    def identity(self) -> str:
        """The id and the revision."""
        return f"{self.id}@{self.revision}"

    def folder(self) -> Path:
        """Download what is missing and return the snapshot's folder.

        Raises:
            FolioError: no such model or revision, no access, or no network.
        """
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        try:
            place = snapshot_download(self.id, revision=self.revision, allow_patterns=WANTED)
        except GatedRepoError as error:
            raise FolioError(
                f"{self.id} (model.id) is gated: accept its terms on the hub and set HF_TOKEN"
            ) from error
        except RevisionNotFoundError as error:
            raise FolioError(f"{self.id} has no revision {self.revision} (model.revision)") from error
        except (RepositoryNotFoundError, HFValidationError) as error:
            raise FolioError(
                f"the hub has no model {self.id} (model.id), or it is private: check the name, "
                "or set HF_TOKEN"
            ) from error
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
            raise FolioError(
                f"{self.id} (model.id) is not on this machine and the hub cannot be reached; "
                "check the network, or set model=embedded or model=folder"
            ) from error
        return Path(place)
