"""Parsing and running of documentation pages, with reports of their failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.docs.photos import write_photos
from tests.docs.run_commands import PageError, Step, find_pages, main, parse_page, run_page

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = "```console\n$ one\noutput\n$ two \\\n    --more\n```\n"


def write_page(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text)
    return page


def test_parse_page_console_block_returns_commands_without_output() -> None:
    assert parse_page(BLOCK) == [Step(2, "one"), Step(4, "two \\\n    --more")]


def test_parse_page_exit_comment_applies_to_last_command() -> None:
    steps = parse_page(BLOCK + "\n<!-- exit 65 -->\n" + BLOCK)
    assert [step.exit_status for step in steps] == [0, 65, 0, 0]


def test_parse_page_block_in_list_is_found() -> None:
    page = "1. First:\n\n   ```console\n   $ one\n   ```\n"
    assert parse_page(page) == [Step(4, "one")]


def test_parse_page_hidden_commands_keep_their_position() -> None:
    steps = parse_page("<!-- $ before -->\n" + BLOCK + "<!-- $ after -->\n")
    assert [step.text.split()[0] for step in steps] == ["before", "one", "two", "after"]


def test_parse_page_python_block_is_one_program() -> None:
    (step,) = parse_page("```python\nprint(1)\n```\n")
    assert (step.language, step.text) == ("python", "print(1)\n")


def test_parse_page_not_run_block_is_skipped() -> None:
    assert parse_page(BLOCK + "<!-- not run: needs a cluster -->\n") == []
    assert parse_page("```sh\nmake\n```\n<!-- not run: installs -->\n") == []


def test_parse_page_other_languages_and_comments_are_ignored() -> None:
    assert parse_page('```json\n{"$ ": 1}\n```\n<!-- a note -->\n') == []


@pytest.mark.parametrize("page", ["```sh\nmake\n```\n", "```bash\nmake\n```\n" + BLOCK])
def test_parse_page_shell_block_without_comment_raises_page_error(page: str) -> None:
    with pytest.raises(PageError, match="line 1"):
        parse_page(page)


def test_parse_page_exit_comment_without_command_raises_page_error() -> None:
    with pytest.raises(PageError, match="line 1"):
        parse_page("<!-- exit 2 -->\n")


def test_run_page_steps_share_one_temporary_folder_with_photos(tmp_path: Path) -> None:
    page = write_page(
        tmp_path,
        "```console\n$ ls photos/daisy > list.txt\n```\n"
        "```python\nassert len(open('list.txt').readlines()) == 40\n```\n",
    )
    assert run_page(page) is None
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("language", ["console", "python"])
def test_run_page_failed_step_is_reported_with_its_output(tmp_path: Path, language: str) -> None:
    text = {"console": "$ echo why; exit 3", "python": "print('why'); raise SystemExit(3)"}
    fault = run_page(write_page(tmp_path, f"```{language}\n{text[language]}\n```\n"))
    assert fault is not None
    assert "page.md:2:" in fault
    assert "exit 3, expected 0" in fault
    assert "why" in fault.splitlines()


def test_run_page_expected_exit_status_passes(tmp_path: Path) -> None:
    page = write_page(tmp_path, "```console\n$ exit 65\n```\n<!-- exit 65 -->\n")
    assert main([str(page)]) == 0


def test_run_page_unexpected_success_fails(tmp_path: Path) -> None:
    page = write_page(tmp_path, "```console\n$ true\n```\n<!-- exit 65 -->\n")
    assert main([str(page)]) == 1


def test_run_commands_missing_page_fails(tmp_path: Path) -> None:
    assert main([str(tmp_path / "none.md")]) == 1


def test_find_pages_folder_returns_its_pages_recursively(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    pages = [write_page(tmp_path / "deeper", ""), write_page(tmp_path, "")]
    assert find_pages([str(tmp_path)]) == pages


def test_write_photos_files_are_distinct_valid_images(tmp_path: Path) -> None:
    write_photos(tmp_path)
    paths = sorted(tmp_path.glob("photos/*/*"))
    assert len({path.read_bytes() for path in paths}) == len(paths) == 120
    assert {Image.open(path).format for path in paths} == {"JPEG", "PNG"}
    assert len(list(tmp_path.glob("new/*.jpg"))) == 3
