"""Hooks of the documentation site: version, links, generated pages.

MkDocs calls these functions by their names (https://www.mkdocs.org/user-guide/plugins/#events).
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

from records.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)(?=[)#])")
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)
_CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the version of the package on every page; add the decisions to the navigation."""
    config.copyright = f"shardmill {__version__}, Apache License 2.0"
    explanation = config.nav[-1]["Explanation"]
    explanation.append({"Decisions": ["decisions/index.md", *_decision_pages()]})
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the start page, the changelog, the list of decisions, the notebooks, and llms.txt."""
    for name, source in (("index.md", "README.md"), ("reference/changelog.md", "CHANGELOG.md")):
        text = (_ROOT / source).read_text(encoding="utf-8")
        content = move_links(text, posixpath.dirname(name))
        files.append(File.generated(config, name, content=content))
    titles = "\n".join(f"- [{title}]({name})" for name, title in list_decisions())
    head = "# Decisions\n\nOne page per decision: the question, the decision, the reasons.\n\n"
    files.append(File.generated(config, "decisions/index.md", content=head + titles))
    for script in [file for file in files if re.fullmatch(r"tutorials/[^/]+\.py", file.src_uri)]:
        files.remove(script)
        notebook = _make_notebook(script.content_string, config.repo_url)
        name = script.src_uri.removesuffix("py") + "ipynb"
        files.append(File.generated(config, name, content=notebook))
    files.append(File.generated(config, "llms.txt", content=list_pages(files, config)))
    return files


def list_pages(files: Files, config: MkDocsConfig) -> str:
    """Return the pages of the navigation for language models (https://llmstxt.org)."""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}"]
    for section in config.nav:
        ((title, pages),) = section.items()
        lines += ["", f"## {title}", ""]
        for name in _page_names(pages):
            file = files.get_file_from_path(name)
            if file is not None:
                heading = _HEADING.search(file.content_string)
                url = f"{config.site_url}{file.url.removeprefix('./')}"
                lines.append(f"- [{heading[1] if heading else name}]({url})")
    return "\n".join([*lines, ""])


def _page_names(pages: Any) -> Iterator[str]:
    """Yield the names of all pages of a section of the navigation, in order."""
    if isinstance(pages, str):
        yield pages
    else:
        for page in pages.values() if isinstance(pages, dict) else pages:
            yield from _page_names(page)


def _make_notebook(script: str, repo_url: str) -> str:
    """Return a tutorial as a notebook without outputs; its links lead to the repository."""
    import jupytext

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(f"docs/tutorials/{match[1]}")
        return f"{repo_url.rstrip('/')}/blob/main/{target}"

    notebook = jupytext.reads(_LINK.sub(link, script), fmt="py:percent")
    return str(jupytext.writes(notebook, fmt="ipynb"))


def move_links(text: str, folder: str) -> str:
    """Return a page of the root as a page of `docs/folder`, with relative links adapted."""
    return _LINK.sub(lambda link: posixpath.relpath(link[1], f"docs/{folder}"), text)


def list_decisions() -> list[tuple[str, str]]:
    """Return file name and title of each decision, in order."""
    pages = sorted((_ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    return [
        (path.name, path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "))
        for path in pages
    ]


def _decision_pages() -> list[str]:
    return [f"decisions/{name}" for name, _ in list_decisions()]


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link files outside the site to the repository, and tutorials to their notebooks.

    Code stays unchanged.
    """
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        inside = target.startswith("docs/") and files.get_file_from_path(target[5:]) is not None
        if inside or not (_ROOT / target).exists():
            return match[1]
        kind = "tree" if (_ROOT / target).is_dir() else "blob"
        return f"{config.repo_url.rstrip('/')}/{kind}/main/{target}"

    parts, at = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_LINK.sub(link, markdown[at : code.start()]), code[0]]
        at = code.end()
    parts.append(_LINK.sub(link, markdown[at:]))
    notebook = page.file.src_uri.removesuffix("md") + "ipynb"
    if files.get_file_from_path(notebook) is not None:
        parts.append(f"\n[Download as notebook]({posixpath.basename(notebook)}){{ .md-button }}\n")
    return "".join(parts)
