"""Runner of the tutorials: notebooks that become pages.

Examples:
    python docs/scripts/tutorials.py run flowers-cnn --data DATA --out OUT
    python docs/scripts/tutorials.py --check

A tutorial is a script in docs/tutorials, in the percent format of jupytext. `run` executes it as a
notebook in the new folder OUT/NAME, with links to the files of DATA that its code names. It writes
OUT/NAME.ipynb, the page docs/tutorials/NAME.md and docs/pictures/tutorials/NAME-*.png. Without
names it runs all tutorials. `--check` compares text and code of each page with its script.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import jupytext
from nbconvert.preprocessors import ExecutePreprocessor

DOCS = Path(__file__).resolve().parents[1]
NOT_RUN = "<!-- not run: needs the data; docs/scripts/tutorials.py runs it -->"
_OUTPUT = re.compile(
    r"\n\n```text\n.*?\n```(?=\n)|\n\n!\[[^\]]*\]\(\.\./pictures/tutorials/[^)]*\)", re.DOTALL
)


def list_tutorials() -> list[str]:
    """Return the names of all tutorials that are scripts."""
    return sorted(path.stem for path in (DOCS / "tutorials").glob("*.py"))


def read_notebook(name: str) -> Any:
    """Return a tutorial as a notebook without outputs."""
    notebook = jupytext.read(DOCS / "tutorials" / f"{name}.py", fmt="py:percent")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    return notebook


def run(name: str, data: Path, out: Path) -> None:
    """Execute a tutorial in the folder `out/name`, and write its notebook, page and pictures."""
    notebook = read_notebook(name)
    folder = out.resolve() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in find_data(notebook, data.resolve()):
        (folder / path.name).symlink_to(path)
    os.environ |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XDG_CACHE_HOME": str(folder / ".cache"),  # no feature store of earlier runs
    }
    started = time.monotonic()
    try:
        executor = ExecutePreprocessor(timeout=1800, kernel_name="python3")
        executor.preprocess(notebook, {"metadata": {"path": str(folder)}})
    finally:
        jupytext.write(notebook, out / f"{name}.ipynb")
    page, pictures = render(notebook, name)
    write_pictures(name, pictures)
    (DOCS / "tutorials" / f"{name}.md").write_text(page.replace(f"{folder}/", ""), encoding="utf-8")
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


def find_data(notebook: Any, data: Path) -> list[Path]:
    """Return the files and folders of `data` that the code of a notebook names."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    names = set(re.findall(r"(?<![\w./-])[\w.-]*\w(?![\w.-])", code))
    return [path for path in sorted(data.iterdir()) if path.name in names]


def render(notebook: Any, name: str) -> tuple[str, list[bytes]]:
    """Return the page of a notebook, and its pictures NAME-1.png, NAME-2.png."""
    parts: list[str] = []
    pictures: list[bytes] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.source.startswith("!"):
            commands = f"\n{cell.source}".replace("\n!", "\n$ ")
            parts.append(f"```console{commands}\n```\n{NOT_RUN}")
        else:
            parts.append(f"```python\n{cell.source}\n```\n{NOT_RUN}")
        parts += _render_outputs(cell, name, pictures)
    parts.append(f"<!-- made by docs/scripts/tutorials.py from {name}.py -->\n")
    return "\n\n".join(parts), pictures


def _render_outputs(cell: Any, name: str, pictures: list[bytes]) -> list[str]:
    printed = ""
    shown: list[str] = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "image/png" in data:
            pictures.append(base64.b64decode(data["image/png"]))
            file = re.search(r'"([^"]+\.png)"', cell.source)
            title = file[1] if file else "plot"
            shown.append(f"![{title}](../pictures/tutorials/{name}-{len(pictures)}.png)")
        elif output.get("name") != "stderr":
            printed += output.get("text", "") + data.get("text/plain", "")
    text = clean_terminal(printed)
    return [f"```text\n{text}\n```", *shown] if text else shown


def clean_terminal(text: str) -> str:
    """Return what remains of terminal output in the end: no progress bars, no colours."""
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n").split("\n")
    kept = "\n".join(line.rpartition("\r")[2].rstrip() for line in lines)
    return kept.replace("```", "'''").strip("\n")


def without_outputs(page: str) -> str:
    """Return a page without the outputs of its cells."""
    return _OUTPUT.sub("", page)


def write_pictures(name: str, pictures: list[bytes]) -> None:
    """Replace the pictures of a page, each of at most 200 kB."""
    folder = DOCS / "pictures" / "tutorials"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}-[0-9]*.png"):
        old.unlink()
    for number, picture in enumerate(pictures, 1):
        if len(picture) > 200_000:
            raise ValueError(f"{name}-{number}.png: {len(picture)} bytes; expected at most 200 kB")
        (folder / f"{name}-{number}.png").write_bytes(picture)


def is_current(name: str) -> bool:
    """Return whether text and code of a page are those of its script."""
    page = (DOCS / "tutorials" / f"{name}.md").read_text(encoding="utf-8")
    return without_outputs(page) == render(read_notebook(name), name)[0]


def main(arguments: list[str]) -> int:
    """Run tutorials, or check all pages; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", nargs="?", choices=["run"])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--data", type=Path, default="data", help="folder with the data")
    parser.add_argument("--out", type=Path, default="build/tutorials", help="folder to create")
    parser.add_argument("--check", action="store_true", help="compare each page with its script")
    options = parser.parse_args(arguments)
    for name in (options.names or list_tutorials()) if options.command == "run" else []:
        run(name, options.data, options.out)
    stale = [name for name in list_tutorials() if options.check and not is_current(name)]
    for name in stale:
        print(f"docs/tutorials/{name}.md differs from {name}.py; run it again", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
