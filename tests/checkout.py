"""A copy of this project in a folder of its own, where the real git and dvc run."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.imports import ROOT

NAMES = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "test"), ("EMAIL", "test@localhost"))
}


@dataclass
class Checkout:
    """`folder` holds the working tree; FOLIO_CACHE is `cache`."""

    folder: Path
    cache: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "FOLIO_CACHE": str(self.cache), "HF_HUB_OFFLINE": "1"}
        self.environment = os.environ | NAMES | own
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            # What this checkout has made is not the project.
            if not name.startswith(("data/raw/", "metrics/", "dvc.lock")) and (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.folder / name)
        (self.folder / "data/raw").mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.folder, env=self.environment, check=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "state", "--allow-empty")

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def dvc(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "dvc", *words)

    def repro(self) -> list[str]:
        """Run `dvc repro` and return the stages that it ran, in order."""
        done = self.dvc("repro")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return ran(done)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file}: {old}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def pages(self, name: str, first: int, last: int) -> None:
        """Put pages `first` to `last` of the project's own PDF into data/raw."""
        import pypdfium2

        source = next((ROOT / "data/raw").glob("*.pdf"))
        with pypdfium2.PdfDocument(source) as whole, pypdfium2.PdfDocument.new() as part:
            part.import_pages(whole, list(range(first - 1, last)))
            part.save(self.folder / "data/raw" / name)


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", done.stdout)
