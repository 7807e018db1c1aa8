"""Existence of the commands in the recipes, which take long to run."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from shardmill.cli import shardmill

DOCS = Path(__file__).parents[2] / "docs"


def load_recipes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipes", DOCS / "scripts" / "recipes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recipes = load_recipes()
PAGE = (DOCS / "tutorials" / "recipes.md").read_text()
COMMANDS = [
    command
    for _, text in recipes.sections(PAGE)
    for line in recipes.commands(text)
    for command in re.findall(r"shardmill ([^;]+)", line)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_recipes_page_command_parses_without_error(command: str) -> None:
    name, *arguments = shlex.split(command)
    context = click.Context(shardmill)
    found = shardmill.get_command(context, name)
    assert found is not None
    found.make_context(name, arguments, parent=context).close()


def test_recipes_page_recipes_have_single_line_commands() -> None:
    headings = [heading for heading, text in recipes.sections(PAGE) if recipes.commands(text)]
    assert len(headings) >= 8
    assert len(COMMANDS) >= 15
    assert not any("\\" in command or "\n" in command for command in COMMANDS)


def test_copy_pictures_copies_each_picture_from_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "DOCS", tmp_path)
    monkeypatch.setattr(recipes, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text("![curves](../pictures/recipes/plain.curves.png)")
    (tmp_path / "out" / "plain").mkdir(parents=True)
    (tmp_path / "out" / "plain" / "curves.png").write_bytes(b"curves")
    recipes.copy_pictures(tmp_path / "out")
    assert (tmp_path / "pictures" / "recipes" / "plain.curves.png").read_bytes() == b"curves"
