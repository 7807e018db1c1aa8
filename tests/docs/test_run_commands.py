"""What documentation pages say is found, run in order, and its faults are told."""

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


def test_commands_are_found_and_output_is_not() -> None:
    assert parse_page(BLOCK) == [Step(2, "one"), Step(4, "two \\\n    --more")]


def test_exit_status_belongs_to_the_last_command() -> None:
    steps = parse_page(BLOCK + "\n<!-- exit 65 -->\n" + BLOCK)
    assert [step.exit_status for step in steps] == [0, 65, 0, 0]


def test_blocks_inside_lists_are_found() -> None:
    page = "1. First:\n\n   ```console\n   $ one\n   ```\n"
    assert parse_page(page) == [Step(4, "one")]


def test_hidden_commands_run_where_they_stand() -> None:
    steps = parse_page("<!-- $ before -->\n" + BLOCK + "<!-- $ after -->\n")
    assert [step.text.split()[0] for step in steps] == ["before", "one", "two", "after"]


def test_python_blocks_are_programs() -> None:
    (step,) = parse_page("```python\nprint(1)\n```\n")
    assert (step.language, step.text) == ("python", "print(1)\n")


def test_blocks_that_are_excused_are_left_out() -> None:
    assert parse_page(BLOCK + "<!-- not run: needs a cluster -->\n") == []
    assert parse_page("```sh\nmake\n```\n<!-- not run: installs -->\n") == []


def test_other_languages_and_comments_are_left_alone() -> None:
    assert parse_page('```json\n{"$ ": 1}\n```\n<!-- a note -->\n') == []


@pytest.mark.parametrize("page", ["```sh\nmake\n```\n", "```bash\nmake\n```\n" + BLOCK])
def test_shell_blocks_may_not_escape(page: str) -> None:
    with pytest.raises(PageError, match="line 1"):
        parse_page(page)


def test_exit_status_without_a_command_is_a_fault() -> None:
    with pytest.raises(PageError, match="line 1"):
        parse_page("<!-- exit 2 -->\n")


def test_steps_of_a_page_share_one_folder_with_photos(tmp_path: Path) -> None:
    page = write_page(
        tmp_path,
        "```console\n$ ls photos/daisy > list.txt\n```\n"
        "```python\nassert len(open('list.txt').readlines()) == 40\n```\n",
    )
    assert run_page(page) is None
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("language", ["console", "python"])
def test_a_step_that_fails_is_told_with_its_output(tmp_path: Path, language: str) -> None:
    text = {"console": "$ echo why; exit 3", "python": "print('why'); raise SystemExit(3)"}
    fault = run_page(write_page(tmp_path, f"```{language}\n{text[language]}\n```\n"))
    assert fault is not None
    assert "page.md:2:" in fault
    assert "exit 3, expected 0" in fault
    assert "why" in fault.splitlines()


def test_a_failure_that_the_page_announces_is_none(tmp_path: Path) -> None:
    page = write_page(tmp_path, "```console\n$ exit 65\n```\n<!-- exit 65 -->\n")
    assert main([str(page)]) == 0


def test_a_command_that_should_fail_and_does_not_is_a_fault(tmp_path: Path) -> None:
    page = write_page(tmp_path, "```console\n$ true\n```\n<!-- exit 65 -->\n")
    assert main([str(page)]) == 1


def test_a_page_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert main([str(tmp_path / "none.md")]) == 1


def test_a_folder_stands_for_its_pages(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    pages = [write_page(tmp_path / "deeper", ""), write_page(tmp_path, "")]
    assert find_pages([str(tmp_path)]) == pages


def test_photos_open_and_differ(tmp_path: Path) -> None:
    write_photos(tmp_path)
    paths = sorted(tmp_path.glob("photos/*/*"))
    assert len({path.read_bytes() for path in paths}) == len(paths) == 120
    assert {Image.open(path).format for path in paths} == {"JPEG", "PNG"}
    assert len(list(tmp_path.glob("new/*.jpg"))) == 3
