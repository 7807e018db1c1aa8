"""Tutorials: pages, commands, and the converter to Markdown."""

from __future__ import annotations

import importlib.util
import re
import shlex
from base64 import b64encode
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import nbformat.v4
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardmill.cli import shardmill
from tests.docs.run_commands import parse_page

DOCS = Path(__file__).parents[2] / "docs"


def load_tutorials() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tutorials", DOCS / "scripts" / "tutorials.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tutorials = load_tutorials()
NAMES: list[str] = tutorials.list_tutorials()
PAGES = sorted((DOCS / "tutorials").glob("*.md"))


def find_commands(page: str) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", "").replace("$seed", "0").splitlines()
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    return [found for line in commands for found in re.findall(r"shardmill ([^;&|>]+)", line)]


COMMANDS = sorted({command for page in PAGES for command in find_commands(page.read_text())})


def code(source: str, *outputs: Any) -> Any:
    return nbformat.v4.new_code_cell(source, outputs=list(outputs))


def stream(text: str, name: str = "stdout") -> Any:
    return nbformat.v4.new_output("stream", name=name, text=text)


def result(**data: str) -> Any:
    return nbformat.v4.new_output(
        "display_data", data={k.replace("_", "/"): v for k, v in data.items()}
    )


def notebook(*cells: Any) -> Any:
    return nbformat.v4.new_notebook(cells=list(cells))


@pytest.mark.parametrize("name", NAMES)
def test_tutorial_page_has_text_and_code_of_its_script(name: str) -> None:
    assert tutorials.is_current(name), f"run docs/scripts/tutorials.py run {name}"


@pytest.mark.parametrize("name", NAMES)
def test_tutorial_page_shows_its_pictures_and_no_others(name: str) -> None:
    shown = re.findall(
        r"pictures/tutorials/([^)]+)\)", (DOCS / "tutorials" / f"{name}.md").read_text()
    )
    stored = list((DOCS / "pictures" / "tutorials").glob(f"{name}-[0-9]*.png"))
    assert sorted(shown) == sorted(path.name for path in stored)
    assert all(path.stat().st_size < 200_000 for path in stored)


@pytest.mark.parametrize("name", NAMES)
def test_tutorial_cells_are_not_run_by_the_page_runner(name: str) -> None:
    assert parse_page((DOCS / "tutorials" / f"{name}.md").read_text()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_tutorial_command_parses_without_error(command: str) -> None:
    name, *arguments = shlex.split(command, comments=True)
    context = click.Context(shardmill)
    found = shardmill.get_command(context, name)
    assert found is not None
    found.make_context(name, arguments, parent=context).close()


def test_render_shell_cell_becomes_console_block_with_output() -> None:
    page, pictures = tutorials.render(notebook(code("!ls a \\\n    b\n!pwd", stream("x\r\n"))), "n")
    assert page.startswith(f"```console\n$ ls a \\\n    b\n$ pwd\n```\n{tutorials.NOT_RUN}\n\n")
    assert "```text\nx\n```" in page
    assert pictures == []


def test_render_python_cell_with_picture_links_the_picture() -> None:
    png = b64encode(b"png").decode()
    cell = code('Image("run/curves.png")', result(image_png=png, text_plain="<Image>"))
    page, pictures = tutorials.render(notebook(cell), "n")
    assert "![run/curves.png](../pictures/tutorials/n-1.png)" in page
    assert "<Image>" not in page
    assert pictures == [b"png"]


def test_render_stderr_is_left_out() -> None:
    page, _ = tutorials.render(notebook(code("x", stream("warning", "stderr"))), "n")
    assert "warning" not in page


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("\r 0%|  |\r50%|# |\r      \rdone\r\n1 s\r\n", "done\n1 s"),
        ("\x1b[31mred\x1b[0m\n", "red"),
        ("a\n\nb\n", "a\n\nb"),
        ("\rhalf\r", ""),
    ],
)
def test_clean_terminal_keeps_final_lines(printed: str, expected: str) -> None:
    assert tutorials.clean_terminal(printed) == expected


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\r`$!#[]()"))
SOURCES = TEXT.filter(lambda text: "```" not in text and "![" not in text)
OUTPUTS = st.one_of(
    TEXT.map(stream),
    st.binary(min_size=1).map(lambda png: result(image_png=b64encode(png).decode())),
)
CELLS = st.one_of(
    SOURCES.map(nbformat.v4.new_markdown_cell),
    st.builds(lambda source, outputs: code(source, *outputs), SOURCES, st.lists(OUTPUTS)),
)


@given(st.lists(CELLS))
@settings(max_examples=30, deadline=None)
def test_without_outputs_page_is_that_of_the_script(cells: list[Any]) -> None:
    page, pictures = tutorials.render(notebook(*cells), "n")
    plain = [code(cell.source) if cell.cell_type == "code" else cell for cell in cells]
    assert tutorials.without_outputs(page) == tutorials.render(notebook(*plain), "n")[0]
    assert page.count("](../pictures/tutorials/n-") == len(pictures)


def test_find_data_names_in_code_only(tmp_path: Path) -> None:
    for name in ("flowers", "mnist.npz", "pets", "rest"):
        (tmp_path / name).touch()
    cells = [
        code('!convert flowers/ data/\nnp.load("mnist.npz")'),
        code("!train data/ pets-run/"),
        nbformat.v4.new_markdown_cell("rest"),
    ]
    found = tutorials.find_data(notebook(*cells), tmp_path)
    assert [path.name for path in found] == ["flowers", "mnist.npz"]


def test_write_pictures_replaces_old_pictures_and_refuses_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tutorials, "DOCS", tmp_path)
    tutorials.write_pictures("n", [b"1", b"2"])
    tutorials.write_pictures("n", [b"3"])
    stored = sorted((tmp_path / "pictures" / "tutorials").iterdir())
    assert [(path.name, path.read_bytes()) for path in stored] == [("n-1.png", b"3")]
    with pytest.raises(ValueError, match="expected at most 200 kB"):
        tutorials.write_pictures("n", [bytes(200_001)])


def test_render_executed_script_equals_page_of_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tutorials").mkdir()
    monkeypatch.setattr(tutorials, "DOCS", tmp_path)
    script = "# %% [markdown]\n# # Title\n\n# %%\n# !shardmill convert a b \\\n#     --resize 4\n"
    script += "\n# %%\nx = 1\n"
    (tmp_path / "tutorials" / "n.py").write_text(script)
    page, _ = tutorials.render(tutorials.read_notebook("n"), "n")
    assert "$ shardmill convert a b \\\n    --resize 4\n" in page
    (tmp_path / "tutorials" / "n.md").write_text(page)
    assert tutorials.is_current("n")
    (tmp_path / "tutorials" / "n.py").write_text(script + "y = 2\n")
    assert not tutorials.is_current("n")
