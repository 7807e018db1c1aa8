"""Recall and false findings of `quality`, on photos with generated defects.

SHARDMILL_TEST_DATA=… python -m benchmarks.suites.quality --photos 300
"""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from PIL import Image

import shardmill as sm
from benchmarks.harness.environments import make_environment, program
from benchmarks.inputs.defects import DEFECTS
from benchmarks.suites.near_duplicates import list_photos
from records.quality.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALTERED_SHARE = 10
_QUALITY = 90
_CLEANVISION = {
    "dark": "dark",
    "bright": "light",
    "low-contrast": "low_information",
    "blurry": "blurry",
    "grey": "grayscale",
    "odd-size": "odd_size",
    "odd-aspect-ratio": "odd_aspect_ratio",
}
"""The name of an issue in CleanVision; it has no corresponding issue for the others."""


def write_photos(photos: list[Path], folder: Path) -> None:
    """Write all photos, and each defect of a tenth of them; each defect has other photos."""
    for number, path in enumerate(photos):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        _save(image, folder / "unaltered" / f"{number}.jpg")
        defect = list(DEFECTS)[number % _ALTERED_SHARE % len(DEFECTS)]
        _save(DEFECTS[defect][1](image), folder / _folder(defect) / f"{number}.jpg")


def _save(image: Image.Image, path: Path) -> None:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_QUALITY)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())


def _folder(defect: str) -> str:
    return defect.replace(" ", "-").replace(",", "")


def find_ours(folder: Path) -> dict[str, set[str]]:
    """Return the keys of the images with each issue."""
    sm.convert(folder, folder.parent / "data")
    found = sm.quality(folder.parent / "data")
    return {name: set(found.only([name]).keys()) for name in found.issues}


def find_by_cleanvision(folder: Path, cache: Path) -> dict[str, set[str]]:
    """Return the keys of the images with each issue."""
    python = make_environment("cleanvision", cache)
    command = [str(python), program("cleanvision_issues"), str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    return {name: set(found[other]) for name, other in _CLEANVISION.items()}


def table(folder: Path, ours: dict[str, set[str]], others: dict[str, set[str]]) -> Iterator[str]:
    """Yield the lines of a table of the shares of altered and unaltered images with each issue."""
    tools = ("quality", "CleanVision")
    heads = ["alteration", "issue", *(f"{tool}: altered" for tool in tools)]
    heads += [f"{tool}: unaltered" for tool in tools]
    yield f"| {' | '.join(heads)} |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for defect, (issue, _) in DEFECTS.items():
        cells = [
            _share(folder / kind, found.get(issue))
            for kind in (_folder(defect), "unaltered")
            for found in (ours, others)
        ]
        yield f"| {defect} | `{issue}` | {' | '.join(cells)} |"


def _share(folder: Path, found: set[str] | None) -> str:
    if found is None:
        return ""
    keys = {f"{folder.name}/{path.name}" for path in folder.iterdir()}
    return f"{len(keys & found) / len(keys):.1%}"


@click.command()
@click.option("--photos", "count", default=300, show_default=True, help="Number of photos.")
@click.option("--data", envvar="SHARDMILL_TEST_DATA", required=True, type=Path)
@click.option("--cache", type=Path, default=Path(".bench"), show_default=True)
def main(count: int, data: Path, cache: Path) -> None:
    """Print the table of docs/how-to/quality.md."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "photos"
        write_photos(list_photos(data, count), folder)
        others = find_by_cleanvision(folder, cache.resolve())
        print("\n".join(table(folder, find_ours(folder), others)))


if __name__ == "__main__":
    assert {rule.issue for rule in RULES} == {issue for issue, _ in DEFECTS.values()}
    main()
