"""Output of the commands: text or JSON, and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from records.errors import UsageError
from records.storage.errors import HINT_FIX, translate_write_errors

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def print_result(result: Any, lines: list[str], *, as_json: bool) -> None:
    """Print a result to stdout, as text lines or as JSON."""
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(result)))
    elif lines:
        click.echo("\n".join(lines))


def check_png_path(path: str | None) -> None:
    """Raise UsageError if a path does not end in .png; None is allowed."""
    if path is None:
        return
    if not path.lower().endswith(".png"):
        raise UsageError("pictures are written as PNG", expected="a name ending in .png", got=path)


def write_picture(path: str, content: bytes) -> None:
    """Write a picture to a file. Raises OutputError or StorageError."""
    with translate_write_errors(path, hint=HINT_FIX):
        Path(path).write_bytes(content)
