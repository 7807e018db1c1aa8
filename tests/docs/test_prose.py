"""Tests of the prose linter and the examples of its rules."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from tests.docs.prose import ROOT, RULES, check_text, find_files, main, read_rules

if TYPE_CHECKING:
    from pathlib import Path

CONTENT: dict[str, Any] = tomllib.loads(RULES.read_text(encoding="utf-8"))
TELL = [rule for rule in read_rules()[0] if rule.name == "tell"]


def examples(kind: str) -> list[Any]:
    return [
        pytest.param(name, text, id=f"{name}: {text}")
        for name, entry in CONTENT["rules"].items()
        for text in entry[kind]
    ]


def rules_found(name: str, text: str) -> set[str]:
    scope = CONTENT["rules"][name].get("scope", "prose")
    rules = [rule for rule in read_rules()[0] if rule.scope == scope]
    docstring = f'"""{text}"""\n'
    sources = {
        "prose": (text, ".md"),
        "module": (docstring, ".py"),
        "function": (f"def read():\n    {docstring}", ".py"),
    }
    source, suffix = sources[scope]
    return {it.rule for it in check_text(source, rules, suffix=suffix, literals=True)}


def lines_found(source: str, suffix: str = ".py", *, literals: bool = True) -> list[int]:
    return [it.line for it in check_text(source, TELL, suffix=suffix, literals=literals)]


@pytest.mark.parametrize(("name", "text"), examples("finds"))
def test_rule_finds_its_example(name: str, text: str) -> None:
    assert name in rules_found(name, text)


@pytest.mark.parametrize(("name", "text"), examples("passes"))
def test_rule_passes_its_counterexample(name: str, text: str) -> None:
    assert name not in rules_found(name, text)


def test_rules_have_examples_of_both_kinds_and_exceptions_have_reasons() -> None:
    for entry in CONTENT["rules"].values():
        assert entry["finds"]
        assert entry["passes"]
        assert all(it["reason"] for it in entry.get("exceptions", []))
    assert all(CONTENT["unchecked"].values())
    assert all((ROOT / path).is_file() for path in CONTENT["unchecked"])


@pytest.mark.parametrize(
    "page",
    [
        "```text\ntell\n```\n",
        "1. First:\n\n   ```python\n   tell()\n   ```\n",
        "`tell`, ``a `tell` ``",
        "<!-- tell -->",
        "[link](tell.md) https://example.org/tell",
    ],
)
def test_markdown_code_is_not_checked(page: str) -> None:
    assert lines_found(page, ".md") == []


def test_markdown_text_and_table_cells_are_checked() -> None:
    assert lines_found("# Tell\n\n| a | it tells |\n[tell](x.md)\n", ".md") == [1, 3, 4]


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n# they tell it",
        "x = 1\nraise ValueError('they tell it')",
        'x = 1\nraise ValueError(f"{x} tells it")',
        'x = 1\nlog("é", hint="so tell it")',
        '"""Module.\n\nThey tell it.\n"""'.replace(".\n\n", ".\n"),
    ],
)
def test_python_prose_is_found_at_its_line(source: str) -> None:
    assert lines_found(source) == [2]


@pytest.mark.parametrize(
    "source",
    [
        "tell = told",
        'key = "tell"',
        '"""Call `tell` first."""',
        'f"see {tell(1)} and {tell!r:>{tell}} there"',
        "x = 1  # noqa: tell",
    ],
)
def test_python_code_is_not_checked(source: str) -> None:
    assert lines_found(source) == []


def test_string_literals_of_tests_are_not_checked_but_docstrings_are() -> None:
    source = 'def f():\n    """Tell it."""\n    return "they tell it"\n'
    assert lines_found(source, literals=False) == [2]


@pytest.mark.parametrize(
    "source",
    [
        "# it goes\n# on here",
        '"""It goes\non here."""',
        'log("it goes "\n    "on here")',
        'log(f"{x} it goes "\n    f"on {y}")',
    ],
)
def test_match_spans_line_breaks(source: str) -> None:
    rules = [rule for rule in read_rules()[0] if rule.name == "go-on"]
    (finding,) = check_text(source, rules, suffix=".py", literals=True)
    assert (finding.line, finding.found) == (1, "goes on")


def test_match_does_not_span_paragraphs_or_arguments() -> None:
    rules = [rule for rule in read_rules()[0] if rule.name == "go-on"]
    assert check_text("it goes\n\non here", rules, suffix=".md", literals=True) == []
    source = 'log("there it goes", "on we are")'
    assert check_text(source, rules, suffix=".py", literals=True) == []


def test_properties_and_tests_need_no_imperative() -> None:
    rules = [rule for rule in read_rules()[0] if rule.scope == "function"]
    body = '    def test_it(self):\n        """The size."""\n'
    source = f"class A:\n    @property\n{body.replace('test_it', 'size')}{body}"
    assert check_text(source, rules, suffix=".py", literals=True) == []


def test_findings_are_printed_and_make_the_exit_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("One.\nIt `x` goes on.\n")
    assert main([str(tmp_path)]) == 1
    expected = f'{page}:2: found "goes on"; write "continue, resume" [go-on]\n'
    assert capsys.readouterr().out == expected
    page.write_text("It continues.\n")
    assert main([str(page)]) == 0


def test_files_of_a_folder_are_found_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("a.md", "b/c.py", "b/d.txt", ".venv/e.py", "__pycache__/f.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in find_files([str(tmp_path)])] == ["a.md", "c.py"]
