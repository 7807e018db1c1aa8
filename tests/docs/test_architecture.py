"""docs/explanation/architecture.md explains exactly the dependencies of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def declared_packages() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.split("[<>=]", line)[0] for line in requirements}
    return {name for name in names if not name.startswith("shardmill[")}


def explained_packages() -> list[str]:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    tables = page.partition("## Dependencies")[2]
    rows = re.findall(r"^\| (\S+) \| .+ \|$", tables, re.MULTILINE)
    return [name for name in rows if name != "Package"]


def test_architecture_page_explains_each_dependency_once() -> None:
    assert sorted(explained_packages()) == sorted(declared_packages())
