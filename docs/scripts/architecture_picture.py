"""Picture of the layers: `python docs/scripts/architecture_picture.py [--check]`.

The packages and their folders come from the contracts of import-linter in `pyproject.toml`. The
picture contains a digest of them, which `--check` compares.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

Layers = dict[str, list[list[str]]]

_ROOT = Path(__file__).resolve().parents[2]
PICTURE = _ROOT / "docs" / "pictures" / "architecture.png"
_DIGEST = "contracts"
_COLORS = {
    "shardmill": "#37474f",
    "pipelines": "#00796b",
    "trainers": "#5e35b1",
    "records": "#1565c0",
}
_NEEDS = {
    "shardmill": "command line and Python API",
    "pipelines": "makes datasets; Beam",
    "trainers": "uses datasets; TensorFlow, Keras",
    "records": "the format; no framework",
}
_ROW = 1.0
_TITLE = 1.3
_WIDTH = 20.0
_GAP = 1.2
_INCH_PER_ROW = 0.27
_DPI = 130


def read_layers() -> tuple[list[list[str]], Layers]:
    """Return the layers of the packages, and the layers of each package; the topmost first."""
    content = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = [
        it for it in content["tool"]["importlinter"]["contracts"] if it["type"] == "layers"
    ]
    packages = next(_split(it["layers"]) for it in contracts if "containers" not in it)
    folders = {name: _split(it["layers"]) for it in contracts for name in it.get("containers", [])}
    return packages, folders


def _split(layers: Sequence[str]) -> list[list[str]]:
    return [[name.strip() for name in layer.split("|")] for layer in layers]


def digest(layers: Any) -> str:
    """Return a digest of the layers."""
    return hashlib.sha256(json.dumps(layers).encode()).hexdigest()


def draw(packages: list[list[str]], folders: Layers, path: Path) -> None:
    """Draw the packages from top to bottom, each with its folders, as a PNG."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    heights = [max(_height(folders.get(name, [])) for name in names) for names in packages]
    total = sum(heights) + _GAP * (len(packages) - 1)
    # The defaults and the fonts of matplotlib, whatever the user has configured.
    with plt.style.context("default"):
        figure = plt.figure(figsize=(_WIDTH * _INCH_PER_ROW * 1.5, total * _INCH_PER_ROW), dpi=_DPI)
        axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
        axes.set(xlim=(0, _WIDTH), ylim=(total, 0))
        axes.axis("off")
        top = 0.0
        for number, (names, height) in enumerate(zip(packages, heights, strict=True)):
            width = (_WIDTH - _GAP * (len(names) - 1)) / len(names)
            for column, name in enumerate(names):
                left = column * (width + _GAP)
                _draw_package(axes, name, folders.get(name, []), (left, top, width, height))
                if number:
                    _draw_arrows(axes, left + width / 2, top, len(packages[number - 1]))
            top += height + _GAP
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None, _DIGEST: digest([packages, folders])})
        plt.close(figure)


def _height(layers: list[list[str]]) -> float:
    return _TITLE + (_ROW * len(layers) + 0.2 if layers else 0.0)


def _draw_package(
    axes: Axes, name: str, layers: list[list[str]], box: tuple[float, float, float, float]
) -> None:
    left, top, width, height = box
    color = _COLORS[name]
    _draw_box(axes, box, face="white", edge=color)
    _draw_box(axes, (left, top, width, _TITLE), face=color, edge=color)
    middle = top + _TITLE / 2
    axes.text(left + 0.3, middle, name, color="white", weight="bold", va="center", size=11)
    axes.text(
        left + width - 0.3, middle, _NEEDS[name], color="white", va="center", ha="right", size=8
    )
    step = (height - _TITLE - 0.2) / max(len(layers), 1)
    for row, names in enumerate(layers):
        y = top + _TITLE + 0.2 + row * step
        x = left + 0.2
        for folder in names:
            # Width in proportion to the name, so that long names fit.
            cell = (width - 0.4) * (len(folder) + 4) / sum(len(it) + 4 for it in names)
            _draw_box(axes, (x + 0.05, y, cell - 0.1, step - 0.2), face=color, alpha=0.14)
            axes.text(x + cell / 2, y + step / 2 - 0.1, folder, va="center", ha="center", size=8)
            x += cell


def _draw_box(
    axes: Axes,
    box: tuple[float, float, float, float],
    *,
    face: str,
    edge: str = "none",
    alpha: float = 1.0,
) -> None:
    from matplotlib.patches import Rectangle

    left, top, width, height = box
    axes.add_patch(
        Rectangle((left, top), width, height, facecolor=face, edgecolor=edge, alpha=alpha)
    )


def _draw_arrows(axes: Axes, x: float, top: float, above: int) -> None:
    """Draw an arrow from each package above: "may import"."""
    for number in range(above):
        at = x + (number - (above - 1) / 2) * (_WIDTH + _GAP) / 2
        axes.annotate(
            "", (at, top), (at, top - _GAP), arrowprops={"arrowstyle": "-|>", "color": "#555555"}
        )


def main() -> None:
    """Draw the picture; with `--check`, exit with an error if it is outdated."""
    layers = read_layers()
    if "--check" not in sys.argv:
        draw(*layers, PICTURE)
        return
    found = Image.open(PICTURE).info.get(_DIGEST) if PICTURE.exists() else None
    if found != digest(layers):
        sys.exit("docs/pictures/architecture.png is outdated; run `make pages`")


if __name__ == "__main__":
    main()
