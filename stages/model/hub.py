"""A model of the Hugging Face hub, pinned to a commit."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from stages.errors import FolioError
from stages.option import Dtype, Option, setting

# Weights as safetensors alone, and no Python: nothing that is downloaded is executed.
# The card (README.md) names the licence.
WANTED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "*.txt", "README.md"]
COMMIT = re.compile(r"[0-9a-f]{40}")
SECONDS = 10  # that the hub may take to say which commit a branch is at


@setting
class Hub(Option):
    """`id` is owner/name; `revision` a commit; a token comes from HF_TOKEN or the hub's own login."""

    id: str
    revision: str
    dtype: Dtype
    watch: str

    @property
    def identity(self) -> str:
        """The id and the commit."""
        return f"{self.id}@{self.revision}"

    def check(self) -> None:
        """The revision must be a commit.

        A branch or a tag can move. DVC, which watches settings, would not notice, and two stages of one run
        could read different models. Only where it is none is the hub asked, for the commit to name.

        Raises:
            FolioError: it is none.
        """
        if COMMIT.fullmatch(self.revision):
            return
        from huggingface_hub import HfApi

        moves = f"model.revision={self.revision} of {self.id} (model.id) is no commit and may move unseen"
        with self._explained(f"{moves}; the hub, which knows its commit, cannot be reached"):
            commit = HfApi().model_info(self.id, revision=self.revision, timeout=SECONDS).sha
        raise FolioError(f"{moves}; pin it: model.revision={commit} is where it stands now")

    def folder(self) -> Path:
        """Download what is missing and return the snapshot's folder.

        Raises:
            FolioError: the revision is no commit; no such model or revision, no access, no network; or its
                weights are pickled.
        """
        from huggingface_hub import snapshot_download

        self.check()
        with self._explained(f"{self.id} (model.id) is not on this machine and the hub cannot be reached"):
            place = Path(snapshot_download(self.id, revision=self.revision, allow_patterns=WANTED))
        if not any(place.glob("*.safetensors")):
            raise FolioError(
                f"{self.id} (model.id) holds no safetensors; Folio opens no pickled weights: choose a "
                "revision that has them, or convert the model and set model=folder"
            )
        return place

    @contextlib.contextmanager
    def _explained(self, unreachable: str) -> Iterator[None]:
        """Turn what the hub refuses into a sentence each."""
        from huggingface_hub.errors import (  # type: ignore[attr-defined]
            GatedRepoError,
            HFValidationError,
            HTTPError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        try:
            yield
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
        # What its HTTP client raises, which is another one from version to version, comes through as it is.
        except (OSError, HTTPError) as error:
            raise FolioError(
                f"{unreachable}; check the network, or set model=embedded or model=folder"
            ) from error
