"""Runner of recipes.md that renews its pictures.

Example: `python docs/scripts/recipes.py DATA OUT [HEADING …]`.

DATA is a folder with the files that the page requires. OUT is created and receives all output, and
links to the files in DATA. Each console block of the named headings (default: all) runs as a
reader would type it, and its time is printed. Finally the pictures of the page are copied from OUT
to docs/pictures/recipes/.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
PAGE = DOCS / "tutorials" / "recipes.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"\(\.\./pictures/recipes/([\w-]+)\.(\w+)\.png\)")


def main(data: str, out: str, *headings: str) -> None:
    """Run recipes in the folder `out`."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for path in Path(data).resolve().iterdir():
        link = folder / path.name
        if not link.is_symlink():
            link.symlink_to(path)
    for heading, text in sections(PAGE.read_text()):
        if not headings or heading in headings:
            for command in commands(text):
                run(command, folder)
    copy_pictures(folder)


def sections(page: str) -> list[tuple[str, str]]:
    """Return the page's second-level headings, each with its text."""
    _, *parts = re.split(r"^## ", page, flags=re.MULTILINE)
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def commands(text: str) -> list[str]:
    """Return the commands of the console blocks, with continued lines joined."""
    lines = "\n".join(_BLOCK.findall(text)).replace("\\\n", "").splitlines()
    return [line[2:] for line in lines if line.startswith("$ ")]


def run(command: str, folder: Path) -> None:
    """Run a command in a folder; print it and its time."""
    print(f"$ {command}", flush=True)
    started = time.monotonic()
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, check=True)
    print(f"# {time.monotonic() - started:.0f} s", flush=True)


def copy_pictures(folder: Path) -> None:
    """Copy the page's pictures: `RUN.NAME.png` is `NAME.png` in the folder of RUN."""
    target = DOCS / "pictures" / "recipes"
    target.mkdir(parents=True, exist_ok=True)
    for run_name, name in _PICTURE.findall(PAGE.read_text()):
        source = folder / run_name / f"{name}.png"
        if source.is_file():
            shutil.copy(source, target / f"{run_name}.{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
