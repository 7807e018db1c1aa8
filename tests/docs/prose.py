"""Linter for the project's English: `python tests/docs/prose.py [PATH …]`.

It reads Markdown outside code, and in Python files comments, docstrings and, outside tests, string
literals of several words: help texts, error messages, hints. Each file becomes its *prose view*: a
text of the same length in which everything else is blotted out, so that a match may span a line
break, a comment sign or the quotes of adjacent literals, and its offset still gives the line.

The rules are in prose_rules.toml. A finding is one line, `path:line: found "…"; write "…" [rule]`,
and makes the exit status 1. No comment turns a rule off; exceptions belong to a rule.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
RULES = Path(__file__).with_name("prose_rules.toml")

_BLOT = "¦"
_SKIPPED_FOLDERS = {"__pycache__", "build", "demo", "dist"}
_MARKDOWN_CODE = (
    re.compile(r"^( *)(```|~~~).*?^\1\2`*$", re.MULTILINE | re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL),
    re.compile(r"(?<=\])\([^)\s]*\)|https?://\S+|<[^>\s]*>"),
)
_PRAGMA = re.compile(r"#\s*(noqa|type:|mypy:|ruff:|pragma|!)")
_INLINE_CODE = re.compile(r"(`+)[^`]+\1|\bhttps?://\S+|^\s*>>> .*$", re.MULTILINE)
_REPLACEMENT_FIELD = re.compile(r"\{\{|\}\}|\{[^{}]*\}")
_LITERAL_SYNTAX = re.compile(r"(?:(?<!\w)[rbfRBF]{1,2})?(?:\"{1,3}|'{3})|\\[nt\n]")
_SEVERAL_WORDS = re.compile(r"[A-Za-z,]{2,}\s+\w+")
_PROSE_LINES = re.compile(r"(?:^.*[A-Za-z].*\n?)+", re.MULTILINE)


@dataclass(frozen=True)
class Rule:
    """One pattern, what to write instead, and the part of a file that it applies to."""

    name: str
    scope: str
    pattern: re.Pattern[str]
    write: str
    exceptions: tuple[re.Pattern[str], ...]

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """Yield the matches that no exception contains."""
        for match in self.pattern.finditer(text):
            if not any(_contains(exception, text, match) for exception in self.exceptions):
                yield match


class Passage(NamedTuple):
    """Lines of a prose view, or the first line of a docstring; scope is prose, module, function."""

    scope: str
    start: int
    text: str


class Finding(NamedTuple):
    """Words to rewrite, and how."""

    line: int
    rule: str
    found: str
    write: str

    def __str__(self) -> str:
        return f'found "{self.found}"; write "{self.write}" [{self.rule}]'


def _contains(exception: re.Pattern[str], text: str, match: re.Match[str]) -> bool:
    near = exception.finditer(text, max(0, match.start() - 200))
    return any(it.start() <= match.start() and match.end() <= it.end() for it in near)


def compile_pattern(source: str, *, words: bool = True) -> re.Pattern[str]:
    """Compile a pattern in any case, of whole words if `words`; a space may be one line break."""
    spaced = source.replace(" ", r"(?:[ \t]+|[ \t]*\n[ \t]*)")
    bounded = rf"(?<![\w-])(?:{spaced})(?![\w-])" if words else spaced
    return re.compile(bounded, re.IGNORECASE | re.MULTILINE)


def read_rules(path: Path = RULES) -> tuple[list[Rule], set[str]]:
    """Return the rules, and the paths that are not checked."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    rules = [
        Rule(
            name=name,
            scope=entry.get("scope", "prose"),
            pattern=compile_pattern(entry["pattern"]),
            write=entry["write"],
            exceptions=tuple(
                compile_pattern(it["pattern"], words=False) for it in entry.get("exceptions", [])
            ),
        )
        for name, entry in content["rules"].items()
    ]
    return rules, set(content["unchecked"])


def _blot(text: str, pattern: re.Pattern[str]) -> str:
    return pattern.sub(lambda match: re.sub(r"[^\n]", _BLOT, match[0]), text)


def _paragraphs(view: str) -> Iterator[Passage]:
    for lines in _PROSE_LINES.finditer(view):
        yield Passage("prose", lines.start(), lines[0])


def markdown_passages(text: str) -> Iterator[Passage]:
    """Yield the prose of a Markdown page."""
    for pattern in _MARKDOWN_CODE:
        text = _blot(text, pattern)
    yield from _paragraphs(text)


def python_passages(source: str, *, literals: bool) -> Iterator[Passage]:
    """Yield the first line of each docstring of a Python file, then all its prose.

    Args:
        source: the file's text.
        literals: whether string literals other than docstrings count as prose.
    """
    tree = ast.parse(source)
    docstrings = dict(_docstrings(tree))
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    view = list(re.sub(r"\S", _BLOT, source))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not _PRAGMA.match(token.string):
            start = starts[token.start[0] - 1] + token.start[1]
            comment = _blot(token.string, _INLINE_CODE).replace("#", " ")
            view[start : start + len(comment)] = comment
    for node in _strings(tree):
        start, end = (
            starts[number - 1] + len(lines[number - 1].encode()[:column_bytes].decode())
            for number, column_bytes in (
                (node.lineno, node.col_offset),
                (node.end_lineno or 0, node.end_col_offset or 0),
            )
        )
        text = _literal_prose(source[start:end], formatted=isinstance(node, ast.JoinedStr))
        if node in docstrings:
            lead = len(text) - len(text.lstrip())
            summary = text[lead:].split("\n", 1)[0].rstrip()
            yield Passage(docstrings[node], start + lead, summary)
        elif not literals or not _SEVERAL_WORDS.search(text):
            continue
        view[start:end] = text
    yield from _paragraphs("".join(view))


def _docstrings(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Yield each docstring with its scope; a property and a test need no imperative: "other"."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body and ast.get_docstring(node, clean=False) else None
        if not isinstance(first, ast.Expr):
            continue
        if isinstance(node, ast.Module | ast.ClassDef):
            yield first.value, "module" if isinstance(node, ast.Module) else "class"
        else:
            is_property = any("property" in ast.unparse(it) for it in node.decorator_list)
            is_other = is_property or node.name.startswith("test_")
            yield first.value, "other" if is_other else "function"


def _strings(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Yield string literals; the parts of an f-string belong to it."""
    match node:
        case ast.JoinedStr() | ast.Constant(value=str()):
            yield node
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _strings(child)


def _literal_prose(literal: str, *, formatted: bool) -> str:
    while formatted and _REPLACEMENT_FIELD.search(literal):
        literal = _blot(literal, _REPLACEMENT_FIELD)
    literal = _blot(literal, _INLINE_CODE)
    return _LITERAL_SYNTAX.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), literal)


def check_text(text: str, rules: list[Rule], *, suffix: str, literals: bool) -> list[Finding]:
    """Return the findings in the text of a `.md` or `.py` file, by line."""
    is_page = suffix == ".md"
    passages = markdown_passages(text) if is_page else python_passages(text, literals=literals)
    findings = []
    for passage in passages:
        for rule in (rule for rule in rules if rule.scope == passage.scope):
            for match in rule.matches(passage.text):
                start, end = passage.start + match.start(), passage.start + match.end()
                shown = zip(match[0], text[start:end], strict=True)
                found = "".join(original if seen == _BLOT else seen for seen, original in shown)
                line = text.count("\n", 0, start) + 1
                write = match.expand(rule.write)
                findings.append(Finding(line, rule.name, " ".join(found.split()), write))
    return sorted(findings)


def find_files(arguments: list[str]) -> list[Path]:
    """Return the Markdown and Python files at and below the paths given, all if none is."""
    files: set[Path] = set()
    for path in [Path(argument).resolve() for argument in arguments] or [ROOT]:
        for file in path.rglob("*") if path.is_dir() else [path]:
            parts = file.relative_to(path).parts
            is_skipped = any(it.startswith(".") or it in _SKIPPED_FOLDERS for it in parts)
            if file.suffix in {".md", ".py"} and not is_skipped:
                files.add(file)
    return sorted(files)


def main(arguments: list[str]) -> int:
    """Print the findings at and below the paths given; return 1 if there are any, otherwise 0."""
    rules, unchecked = read_rules()
    count = 0
    for path in find_files(arguments):
        name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
        if name in unchecked:
            continue
        text = path.read_text(encoding="utf-8")
        literals = "tests" not in path.parts
        for finding in check_text(text, rules, suffix=path.suffix, literals=literals):
            count += 1
            print(f"{name}:{finding.line}: {finding}")
    if count:
        print(f"prose: {count} findings", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
