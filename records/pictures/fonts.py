r"""Fonts for class names in any script.

matplotlib includes DejaVu Sans, which has Latin, Greek, Cyrillic, Arabic and more, but no Chinese,
Japanese or Korean; for those, the installed fonts are searched. A character that no font has is
drawn as an escape such as `\u4e2d`, never as an empty box.
"""

from __future__ import annotations

import importlib.util
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import ImageFont

from records.runtime.extras import check_extra
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
# Parts of the names of fonts with many scripts, in order of preference.
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


def find_font(names: Iterable[str]) -> str:
    """Return the path of the font file that lacks the fewest characters of the names.

    Raises UsageError if matplotlib is not installed.
    """
    characters = {char for name in names for char in escape_for_display(name) if not char.isspace()}
    return _find_font("".join(sorted(characters)))


@lru_cache
def _find_font(characters: str) -> str:
    dejavu = _dejavu()
    if characters.isascii() or not _missing(dejavu, characters):
        return dejavu
    fonts = [dejavu, *_wide_fonts()]
    return min(fonts, key=lambda path: len(_missing(path, characters)))


def drawable(name: str, font: str) -> str:
    """Return a name with control characters, and those missing in the font, as escapes."""
    text = escape_for_display(name)
    missing = _missing(font, text) if not text.isascii() else frozenset()
    return "".join(ascii(char)[1:-1] if char in missing else char for char in text)


def _missing(font: str, characters: str) -> frozenset[str]:
    loaded = _load(font)
    nothing = _shape(loaded, _NO_CHARACTER)
    return frozenset(
        char for char in set(characters) if not char.isspace() and _shape(loaded, char) == nothing
    )


@lru_cache
def _load(font: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font, 16)


def _shape(font: ImageFont.FreeTypeFont, char: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(char)
    return mask.size, bytes(mask)


def _dejavu() -> str:
    check_extra("matplotlib", "plot")
    # Only the path is needed; importing matplotlib takes a second.
    found = importlib.util.find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")


def _wide_fonts() -> list[str]:
    paths = sorted(_font_files())
    found = []
    for part in _WIDE_FONTS:
        found += [path for path in paths if part in Path(path).name.lower().replace("_", "-")]
    return list(dict.fromkeys(found))


def _font_files() -> Iterator[str]:
    for top in _FOLDERS:
        for folder, _, files in os.walk(Path(top).expanduser()):
            for file in files:
                if file.lower().endswith((".ttf", ".ttc", ".otf")):
                    yield str(Path(folder) / file)
