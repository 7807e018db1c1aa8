"""Comparison of the public Python API with the last release: `make api-check`.

The API is every name in `shardmill.__all__`, with the members of its classes. A removed name, a
removed or moved parameter or a changed default is a finding, unless the version permits it: a
higher major version than that of the release, or before version 1 a higher minor version.
"""

from __future__ import annotations

import argparse
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parents[2]
_TAG = re.compile(r"v\d+\.\d+\.\d+")
_COLOR = re.compile(r"\x1b\[\d*m")


def find_last_release(repository: Path) -> str | None:
    """Return the tag of the last release before the current commit; None if there is none."""
    if shutil.which("git") is None:
        return None
    command = ("git", "tag", "--merged", "HEAD", "--no-contains", "HEAD", "--sort=-version:refname")
    ended = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    return next((tag for tag in ended.stdout.split() if _TAG.fullmatch(tag)), None)


def permits_breaks(version: str, tag: str) -> bool:
    """Return whether a version may break the API of a release."""
    new, old = (text.removeprefix("v").split(".") for text in (version, tag))
    compared = 2 if old[0] == "0" else 1
    return [int(part) for part in new[:compared]] > [int(part) for part in old[:compared]]


def load_api(repository: Path, tag: str | None = None) -> griffe.Object | griffe.Alias:
    """Return `shardmill`, reduced to its public names: of a release, or of the working tree."""
    if tag is None:
        package = griffe.load(
            "shardmill",
            search_paths=[repository],
            try_relative_path=False,
            allow_inspection=False,
            resolve_aliases=True,
            resolve_external=True,
        )
    else:
        package = griffe.load_git(
            "shardmill",
            ref=tag,
            repo=repository,
            search_paths=["."],
            allow_inspection=False,
            resolve_aliases=True,
            resolve_external=True,
        )
    public = {str(name) for name in package.exports or ()}
    for name, member in list(package.members.items()):
        if name not in public:
            package.del_member(name)
        elif isinstance(member, griffe.Alias):
            _ = member.final_target  # Raises an error if the name leads nowhere.
    return package


def find_breaks(repository: Path, tag: str) -> list[str]:
    """Return each break of the API since a release as one line."""
    breaks = griffe.find_breaking_changes(load_api(repository, tag), load_api(repository))
    lines = (it.explain(style=griffe.ExplanationStyle.ONE_LINE) for it in breaks)
    return [_COLOR.sub("", line) for line in lines]


def main() -> int:
    """Print the breaks of the API; return 1 if there are any that the version does not permit."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("repository", nargs="?", type=Path, default=ROOT)
    repository = parser.parse_args().repository
    tag = find_last_release(repository)
    if tag is None:
        print("api-check: no tag of a release yet, nothing to compare with")
        return 0
    breaks = find_breaks(repository, tag)
    for line in breaks:
        print(line)
    version = runpy.run_path(str(repository / "records" / "version.py"))["__version__"]
    is_refused = bool(breaks) and not permits_breaks(version, tag)
    verdict = f"version {version} {'does not permit' if is_refused else 'permits'} them"
    print(f"api-check: {len(breaks)} breaks since {tag}" + (f"; {verdict}" if breaks else ""))
    return 1 if is_refused else 0


if __name__ == "__main__":
    sys.exit(main())
