"""Values of options: callbacks for click."""

from __future__ import annotations

from typing import Any

import click


def parse_size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """Parse `224` as 224×224, and `320x240` as width by height."""
    if text is None:
        return None
    width, separator, height = text.lower().partition("x")
    if not width.isdigit() or (separator and not height.isdigit()):
        raise click.BadParameter("must be N or WxH in pixels, such as 224 or 320x240")
    return int(width), int(height if separator else width)


def parse_names(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """Parse names that are separated by commas."""
    if text is None:
        return None
    names = tuple(name for name in text.split(",") if name)
    if not names:
        raise click.BadParameter(f"must be names separated by commas, got {text!r}")
    return names


def empty_to_none(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> Any:
    """Return None for an option that was not given."""
    return values or None
