"""Reading of the pages of reports in tests, without a browser."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class PageReader(HTMLParser):
    """The elements, the texts and the data of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(page)
        self.data: dict[str, Any] = json.loads(self.scripts[0]) if self.scripts else {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    def handle_endtag(self, _tag: str) -> None:
        self._inside = ""

    def part(self, title: str) -> dict[str, Any]:
        """Return the table, the gallery or the matrix with this title."""
        (found,) = (each for each in self.data["parts"] if each["title"] == title)
        return dict(found)

    def keys(self, numbers: list[int]) -> list[str]:
        """Return the keys of images, as a file of keys has them."""
        images = [self.data["images"][number] for number in numbers]
        return [image.get("line") or image["key"] for image in images]
