from dataclasses import dataclass
from pathlib import Path

import gguf
import pytest
from omegaconf import OmegaConf

from stages import licence
from stages.artifact import write_text
from stages.errors import FolioError
from stages.option import build
from tests.imports import ROOT


@dataclass
class Source:
    place: Path

    def folder(self) -> Path:
        return self.place


def named(folder: Path, card: str) -> dict[str, str]:
    write_text(folder / "README.md", card)
    return licence.of(Source(folder))


def test_the_embedded_models_file_names_its_licence() -> None:
    config = OmegaConf.create({"model": OmegaConf.load(ROOT / "conf/model/embedded.yaml")})
    assert licence.of(build(config, "model")) == {"license": "apache-2.0"}


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ("---\nlicense: mit\n---\n# M\n", {"license": "mit"}),
        (
            "---\r\nlicense: other\r\nlicense_name: own\r\nlicense_link: LICENSE\r\n---\r\n",
            {"license": "other", "license_name": "own", "license_link": "LICENSE"},
        ),
        ("# license: mit\n", {}),
        ("---\nlicense: [mit, apache-2.0]\n---\n", {}),
        ("---\nlicense: 'mit\n# Free for all'\n---\n", {}),
        ("---\nlicense: <b>mit</b>\n---\n", {}),
        ("---\nlicense: !!python/object/apply:os.system [id]\n---\n", {}),
        ("---\n- mit\n---\n", {}),
        ("---\nlicense: ]\n---\n", {}),
        ("---\nlicense: mit\n", {}),
        ("", {}),
    ],
)
def test_a_card_is_believed_where_it_has_the_form_of_one(
    card: str, found: dict[str, str], tmp_path: Path
) -> None:
    assert named(tmp_path, card) == found


def test_what_a_card_says_of_a_licence_is_bounded(tmp_path: Path) -> None:
    found = named(tmp_path, f"---\nlicense: other\nlicense_name: {'x' * 5000}\n---\n")
    assert len(found["license_name"]) < 300


def test_a_card_that_is_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    assert named(tmp_path, "---\nx: " + "y" * licence.LONGEST_CARD + "\nlicense: mit\n---\n") == {}


def test_a_folder_without_a_card_names_none(tmp_path: Path) -> None:
    assert licence.of(Source(tmp_path)) == {}


def test_a_gguf_file_without_a_licence_names_none(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert licence.of_gguf(tmp_path / "model.gguf") == {}


def test_a_damaged_gguf_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF\x03\x00\x00\x00" + b"\xff" * 40)
    with pytest.raises(FolioError, match=r"model\.gguf cannot be read as a GGUF model"):
        licence.of_gguf(tmp_path / "model.gguf")
