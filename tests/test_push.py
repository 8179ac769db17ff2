import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, constants

from stages.artifact import read_json, write_text
from stages.errors import FolioError
from stages.push import push
from stages.settings.push import Push
from tests.hub_upload import READER, REPOSITORY, TOKEN, Hub, Repository
from tests.imports import ROOT

# huggingface_hub 2.4 sends files by an argument that httpx2 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

WEIGHTS = bytes(range(256)) * 200  # 51,200 bytes: large for the hub


@pytest.fixture
def hub(loopback: None) -> Iterator[Hub]:
    with Hub() as server:
        yield server


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads by HTTP: what they become on the way is not this server's to know."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "models/published"
    write_text(place / "README.md", "---\nlicense: apache-2.0\n---\n# A model\n")
    write_text(place / "config.json", "{}\n")
    (place / "model.safetensors").write_bytes(WEIGHTS)
    return place


def settings(folder: Path, **changes: Any) -> Push:
    given: dict[str, Any] = {"stages": ["hub"], "repository": REPOSITORY, "private": True, "message": "Tuned"}
    return Push(**given | {"folder": str(folder)} | changes)


def pushed(hub: Hub, folder: Path, token: str = TOKEN, **changes: Any) -> dict[str, Any]:
    return push(settings(folder, **changes), HfApi(endpoint=hub.url, token=token))


def test_every_byte_of_the_folder_arrives_in_one_commit(hub: Hub, folder: Path) -> None:
    found = pushed(hub, folder)
    there = hub.repositories[REPOSITORY]
    assert there.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert there.private
    assert len(there.commits) == 2
    assert found == {
        "repository": REPOSITORY, "revision": there.commits[-1], "private": True, "files": 3,
        "url": f"{hub.url}/{REPOSITORY}/commit/{there.commits[-1]}",
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
    }  # fmt: skip
    assert hub.tokens == {TOKEN}


def test_a_second_push_of_the_same_folder_makes_no_commit(hub: Hub, folder: Path) -> None:
    first = pushed(hub, folder)
    assert pushed(hub, folder) == first
    assert len(hub.repositories[REPOSITORY].commits) == 2


def test_a_push_that_was_cut_off_sends_no_weights_twice(hub: Hub, folder: Path) -> None:
    hub.fails["/commit/"] = 500
    with pytest.raises(FolioError, match=r"was not pushed: the hub answered 500"):
        pushed(hub, folder)
    hub.fails.clear()
    pushed(hub, folder)
    assert [method for method, _ in hub.asked].count("PUT") == 1
    assert hub.repositories[REPOSITORY].files["model.safetensors"] == WEIGHTS


def test_weights_of_an_earlier_push_are_removed_and_other_files_stay(hub: Hub, folder: Path) -> None:
    files = {"model-00001-of-00002.safetensors": b"old", "notes.txt": b"mine", "README.md": b"old"}
    hub.repositories[REPOSITORY] = Repository(private=True, files=dict(files))
    pushed(hub, folder)
    names = {path.name for path in folder.iterdir()}
    assert set(hub.repositories[REPOSITORY].files) == names | {"notes.txt"}


def test_nothing_goes_to_a_public_repository_unless_that_is_said(hub: Hub, folder: Path) -> None:
    hub.repositories[REPOSITORY] = Repository(private=False)
    with pytest.raises(FolioError, match=r"is public: nothing is published; set push\.private=false"):
        pushed(hub, folder)
    assert hub.repositories[REPOSITORY].files == {}
    assert not pushed(hub, folder, private=False)["private"]
    assert "README.md" in hub.repositories[REPOSITORY].files


@pytest.mark.parametrize(
    ("token", "fails", "words"),
    [
        ("hf_unknown", {}, "the hub does not know the token: set HF_TOKEN"),
        (READER, {}, "the token may not write there"),
        (TOKEN, {"/preupload/": 403}, "the token may not write there"),
        (TOKEN, {"/storage/": 403}, "the token may not write there"),
        (TOKEN, {"/api/repos/create": 402}, "the hub asks for payment"),
        (TOKEN, {"/objects/batch": 404}, "the hub has no such place"),
        (TOKEN, {"/api/repos/create": 400}, "the hub answered 400: status 400"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence(
    hub: Hub, folder: Path, token: str, fails: dict[str, int], words: str
) -> None:
    hub.fails.update(fails)
    with pytest.raises(FolioError, match=words) as caught:
        pushed(hub, folder, token)
    assert str(caught.value).startswith(f"{REPOSITORY} (push.repository) was not pushed: ")
    assert token not in str(caught.value)
    assert not any(repository.files for repository in hub.repositories.values())


def test_a_card_that_the_hub_does_not_take_is_named(hub: Hub, folder: Path) -> None:
    hub.refuses_card = True
    with pytest.raises(FolioError, match="no such licence"):
        pushed(hub, folder)


def test_without_a_hub_that_is_the_sentence(hub: Hub, folder: Path) -> None:
    nowhere = HfApi(endpoint="http://127.0.0.1:9", token=TOKEN)
    with pytest.raises(FolioError, match=r"the hub cannot be reached \(.*\); check the network"):
        push(settings(folder), nowhere)


def test_a_folder_without_a_model_or_a_card_is_not_pushed(hub: Hub, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"\(push\.folder\) holds no model; set publish\.stages"):
        pushed(hub, tmp_path / "nowhere")
    (folder / "README.md").unlink()
    with pytest.raises(FolioError, match=r"holds no README\.md: nothing is published without a card"):
        pushed(hub, folder)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["answers", "me/answers/more", "me/ans wers", "me/$(id)", "../me", "me/"])
def test_what_is_no_name_is_refused_before_any_work(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a repository: owner/name"):
        settings(Path(), repository=name)


def test_a_name_with_two_dots_is_refused_by_the_hubs_own_rule(hub: Hub, folder: Path) -> None:
    with pytest.raises(FolioError, match=r"was not pushed: .*-- or \.\."):
        pushed(hub, folder, repository="me/an..swers")


def test_a_stage_without_a_repository_is_refused() -> None:
    with pytest.raises(ValueError, match=r"push\.stages=\[hub\] needs push\.repository"):
        settings(Path(), repository="")


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = folder.parent.parent
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    own = {"PYTHONPATH": str(ROOT), "HF_HOME": str(root / "hf"), "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-m", "stages.push", *words],
        cwd=root,
        env=inherited | own | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stage_takes_the_token_from_the_environment_and_writes_it_nowhere(hub: Hub, folder: Path) -> None:
    done = run(folder, f"push.repository={REPOSITORY}", HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    root = folder.parent.parent
    found = read_json(root / "metrics/push.json")
    assert found["revision"] == hub.repositories[REPOSITORY].commits[-1]
    assert TOKEN not in done.stdout + done.stderr
    written = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in content for content in written)
    assert not any(TOKEN.encode() in content for content in hub.repositories[REPOSITORY].files.values())


def test_the_stage_without_a_token_says_where_one_comes_from(hub: Hub, folder: Path) -> None:
    done = run(folder, f"push.repository={REPOSITORY}", HF_ENDPOINT=hub.url)
    assert done.returncode == 1
    assert done.stderr.strip() == "folio: push needs a token of the hub: set HF_TOKEN, or run `hf auth login`"
    assert hub.asked == []


def test_the_stage_without_a_repository_pushes_nowhere(folder: Path) -> None:
    done = run(folder)
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "folio: push needs push.repository=owner/name: there is no default",
    )
