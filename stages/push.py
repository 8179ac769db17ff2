"""A published folder to the hub: python -m stages.push push.repository=owner/name [override ...]"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages.artifact import write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.option import build
from stages.printable import printable
from stages.settings.push import Push

if TYPE_CHECKING:
    from huggingface_hub import HfApi

METRICS = Path("metrics/push.json")
# What an earlier push may have left, and a loader would take for weights of this one.
STALE = (".safetensors", ".safetensors.index.json")
REASONS = {
    401: "the hub does not know the token: set HF_TOKEN to one that may write, or run `hf auth login`",
    402: "the hub asks for payment: private storage may be used up",
    403: "the token may not write there: check push.repository's owner, or make a token with write access",
    404: "the hub has no such place, or the token may not see it: check push.repository",
}


def push(settings: Push, api: "HfApi") -> dict[str, Any]:
    """Upload the folder's files in one commit; return where they are and under which revision.

    Files that the hub has already are not sent again, so a push that was cut off goes on and one without
    a change makes no commit. A repository that does not exist yet is made.

    Raises:
        FolioError: no folder, no token, no right, no network, or a name or a card that the hub refuses.
    """
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled  # type: ignore[attr-defined]

    folder = checked(Path(settings.folder))
    if not (api.token or _token()):
        raise FolioError("push needs a token of the hub: set HF_TOKEN, or run `hf auth login`")
    try:
        return uploaded(settings, folder, api)
    except (HTTPError, OfflineModeIsEnabled, RuntimeError, ValueError) as error:
        raise FolioError(
            f"{settings.repository} (push.repository) was not pushed: {refusal(error)}"
        ) from error


def checked(folder: Path) -> Path:
    """Return the folder that is to be pushed.

    Raises:
        FolioError: it is no folder with a model and a card.
    """
    if not any(folder.glob("*.safetensors")):
        raise FolioError(
            f"{folder} (push.folder) holds no model; set publish.stages=[folder] and run `dvc repro`"
        )
    if not (folder / "README.md").is_file():
        raise FolioError(f"{folder} (push.folder) holds no README.md: nothing is published without a card")
    return folder


def _token() -> str | None:
    """HF_TOKEN, or the token of `hf auth login`."""
    from huggingface_hub import get_token

    return get_token()


def uploaded(settings: Push, folder: Path, api: "HfApi") -> dict[str, Any]:
    """Make the repository where there is none, see that it is as private as asked, and commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api.create_repo(settings.repository, private=settings.private, exist_ok=True)
    there = api.model_info(settings.repository)
    if settings.private and not there.private:
        raise FolioError(
            f"{settings.repository} (push.repository) is public: nothing is published; "
            "set push.private=false, or name another repository"
        )
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    older = [one.rfilename for one in there.siblings or []]
    # Not upload_folder: it may divide what belongs together among several commits.
    commit = api.create_commit(
        settings.repository,
        [
            *(CommitOperationAdd(name, path) for name, path in sorted(files.items())),
            *(CommitOperationDelete(name) for name in older if name.endswith(STALE) and name not in files),
        ],
        commit_message=settings.message,
    )
    return {
        "repository": settings.repository,
        "revision": commit.oid,
        "url": commit.commit_url,
        "private": bool(there.private),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files.values()),
    }


def refusal(error: Exception) -> str:
    """Why the hub did not take it, in a sentence."""
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled  # type: ignore[attr-defined]

    found: BaseException = error
    while True:  # an upload that fails hides its cause
        status = getattr(getattr(found, "response", None), "status_code", None)
        if status is not None:
            return REASONS.get(status, f"the hub answered {status}: {_brief(found)}")
        if isinstance(found, (HTTPError, OfflineModeIsEnabled)):
            return f"the hub cannot be reached ({_brief(found)}); check the network and push again"
        if found.__cause__ is None:
            return _brief(found)
        found = found.__cause__


def _brief(error: BaseException) -> str:
    """The first lines of an error, as one; what a server said is bounded."""
    return printable(" ".join(str(getattr(error, "server_message", None) or error).split()), 300)


@entrypoint
def main(config: DictConfig) -> None:
    """Push, and write metrics/push.json."""
    settings = build(config, "push")
    if not settings.repository:
        raise FolioError("push needs push.repository=owner/name: there is no default")
    from huggingface_hub import HfApi

    found = push(settings, HfApi())
    write_json(METRICS, found)
    print(f"push: {found['files']} files to {found['url']}")


if __name__ == "__main__":
    main()
