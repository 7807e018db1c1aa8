"""Page of a report, rendered with Jinja2.

The page makes no request, and its policy (Content-Security-Policy) forbids all. The script runs
because the policy has its SHA-256.
"""

from __future__ import annotations

import hashlib
import html
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from records.report.parts import Chart, Gallery, Matrix, Section, Table, part_anchor
from records.runtime.extras import require_extra
from records.version import __version__

if TYPE_CHECKING:
    from records.report.images import ImageEntry, ImageSet

_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN_IN_NOTEBOOK_PX = 800


class Report:
    """A report of a dataset and its runs, as one HTML page; a notebook shows the page.

    Attributes:
        html: the page.
        pictures: the number of images that the page shows.
        sections: the titles of the sections by their anchors.
    """

    def __init__(self, page: str, pictures: int, sections: dict[str, str]) -> None:
        self.html = page
        self.pictures = pictures
        self.sections = sections

    def encode(self) -> bytes:
        """Return the content of the HTML file."""
        return self.html.encode()

    def __repr__(self) -> str:
        return f"Report({', '.join(self.sections.values())})"

    def _repr_html_(self) -> str:
        # A frame keeps the style and the script of the page away from those of the notebook.
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts allow-downloads"'
            f' style="width:100%;height:{_SHOWN_IN_NOTEBOOK_PX}px;border:0"'
            ' title="report of a dataset"></iframe>'
        )


class _Data(msgspec.Struct):
    """What the script of the page shows."""

    dataset: str
    classes: Sequence[str]
    images: Sequence[ImageEntry]
    parts: Sequence[Table | Gallery | Matrix]


def render_page(
    title: str,
    sections: Sequence[Section],
    images: ImageSet,
    *,
    dataset: str,
    classes: Sequence[str] = (),
) -> Report:
    """Return the page.

    Args:
        title: the title of the page.
        sections: the sections, in order.
        images: the images to which the sections refer.
        dataset: the path or URL of the dataset, for the commands that the page shows.
        classes: the names of the classes that an image can be given, for `relabel`.

    Raises:
        UsageError: Jinja2 is not installed.
    """
    jinja2 = require_extra("jinja2", "report")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FileSystemLoader(_TEMPLATES),
    )
    script, style = (_read(name) for name in ("report.js", "report.css"))
    numbered, parts = _number(sections)
    data = encode_for_script(_Data(dataset, classes, images.entries, parts))
    page = environment.get_template("page.html").render(
        title=title,
        sections=numbered,
        style=_trusted(style),
        script=_trusted(script),
        script_digest=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_trusted(data),
        data_digest=hashlib.sha256(data.encode()).hexdigest(),
        trusted=_trusted,
        has_classes=bool(classes),
        version=__version__,
    )
    pictures = sum(entry.picture is not None for entry in images.entries)
    return Report(page, pictures, {section.id: section.title for section in sections})


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")


def _trusted(text: str) -> Any:
    """Return a text that the template does not escape: a file of this package, SVG, or JSON."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - see the docstring


def _number(
    sections: Sequence[Section],
) -> tuple[list[dict[str, Any]], list[Table | Gallery | Matrix]]:
    """Return the sections for the template, and the parts that the script shows, by number."""
    shown: list[Table | Gallery | Matrix] = []
    numbered = []
    for section in sections:
        parts = []
        for place, part in enumerate(section.shown_parts):
            own = part.table if isinstance(part, Chart) else part
            number = len(shown)
            if isinstance(own, Table | Gallery | Matrix):
                shown.append(own)
            anchor = part_anchor(section.id, place)
            parts.append({"part": part, "kind": part.kind, "number": number, "anchor": anchor})
        numbered.append({"id": section.id, "title": section.title, "parts": parts})
    return numbered, shown


def encode_for_script(value: Any) -> str:
    """Return a value as JSON that has no character with a meaning in HTML."""
    text = msgspec.json.encode(value).decode()
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
