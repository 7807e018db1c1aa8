r"""Fonts for class names of any script.

matplotlib contains DejaVu Sans, with Latin, Greek, Cyrillic, Arabic and more scripts, but not
Chinese, Japanese or Korean: for these scripts, the fonts of the machine are searched. If matplotlib
is not installed, the font of Pillow replaces DejaVu Sans. A character that is missing in the chosen
font is drawn as an escape such as `\u4e2d`, never as an empty box.
"""

from __future__ import annotations

import importlib.util
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import ImageFont

from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    "/mnt/c/Windows/Fonts",
)
# Parts of font names, for fonts with many scripts, in order of preference.
_WIDE_FONTS = (
    "notosanscjk-regular",
    "notosanscjk",
    "arial unicode",
    "pingfang",
    "hiragino sans gb",
    "applesdgothicneo",
    "sourcehansans",
    "wqy-microhei",
    "wqy-zenhei",
    "droidsansfallback",
    "unifont",
    "msyh",
    "notosans",
)
_NO_CHARACTER = "\U0010ffff"
_END_CHARACTERS = 250
_MAX_COMPARED = 2000
_PILLOW_FONT = ""
"""The value that stands for the font inside Pillow (Latin only), instead of a path."""


def find_font(names: Iterable[str]) -> str:
    """Return the font that lacks the fewest characters of the names, for use in `open_font`."""
    characters = {char for name in names for char in _visible(name) if not char.isspace()}
    return _find_font("".join(sorted(characters)[:_MAX_COMPARED]))


@lru_cache
def _find_font(characters: str) -> str:
    dejavu = _dejavu()
    if characters.isascii() or not _missing(dejavu, characters):
        return dejavu
    fonts = [dejavu, *_wide_fonts()]
    return min(fonts, key=lambda path: len(_missing(path, characters)))


def drawable(name: str, font: str) -> str:
    """Return a name in which control characters, and characters missing in a font, are escaped.

    Only the start and the end of a very long name are kept: no picture is that wide.
    """
    text = _visible(name)
    missing = _missing(font, text) if not text.isascii() else frozenset()
    return "".join(ascii(char)[1:-1] if char in missing else char for char in text)


def _visible(name: str) -> str:
    if len(name) > 2 * _END_CHARACTERS:
        name = f"{name[:_END_CHARACTERS]}…{name[-_END_CHARACTERS:]}"
    return escape_for_display(name)


def _missing(font: str, characters: str) -> frozenset[str]:
    return frozenset(
        char for char in set(characters) if not char.isspace() and _is_missing(font, char)
    )


@lru_cache(maxsize=1 << 16)
def _is_missing(font: str, char: str) -> bool:
    return _shape(open_font(font, 16), char) == _shape(open_font(font, 16), _NO_CHARACTER)


@lru_cache
def open_font(font: str, size_px: int) -> ImageFont.FreeTypeFont:
    """Open a font that `find_font` returned, at the given size in pixels."""
    if font != _PILLOW_FONT:
        return ImageFont.truetype(font, size_px)
    default = ImageFont.load_default(size_px)
    assert isinstance(default, ImageFont.FreeTypeFont)
    return default


def _shape(font: ImageFont.FreeTypeFont, char: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(char)
    return mask.size, bytes(mask)


def _dejavu() -> str:
    # Only the path is needed; the import of matplotlib takes a second.
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        return _PILLOW_FONT
    return str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")


def _wide_fonts() -> list[str]:
    paths = sorted(_font_files())
    found = []
    for part in _WIDE_FONTS:
        found += [path for path in paths if part in Path(path).name.lower().replace("_", "-")]
    return list(dict.fromkeys(found))


def _font_files() -> Iterator[str]:
    for top in _FOLDERS:
        # Unlike Path.expanduser, this returns a path also if the user has no home.
        for folder, _, files in os.walk(os.path.expanduser(top)):  # noqa: PTH111
            for file in files:
                if file.lower().endswith((".ttf", ".ttc", ".otf")):
                    yield str(Path(folder) / file)
