"""`make api-check` finds breaks of the Python API since the last release."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.release.api_check import find_last_release, permits_breaks

SCRIPT = Path(__file__).with_name("api_check.py")
API = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from records.reading import read
__all__ = ["read"]
def internal(number): ...
"""


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    command = ("git", *identity, "-c", "commit.gpgsign=false", *arguments)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one release and a commit after it."""
    for name, text in {
        "shardmill/__init__.py": API,
        "records/__init__.py": "",
        "records/reading.py": "def read(path, split=None): ...\n",
        "records/version.py": '__version__ = "0.1.1"\n',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "release")
    git(tmp_path, "tag", "v0.1.0")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "next")
    return tmp_path


def run(repository: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(repository)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_same_api_has_no_breaks(repository: Path) -> None:
    ended = run(repository)
    assert (ended.returncode, ended.stdout) == (0, "api-check: 0 breaks since v0.1.0\n")


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("records/reading.py", ", split=None", "", "read(split): Parameter was removed"),
        ("records/reading.py", "split=None", "split=1", "read(split): Parameter default"),
        ("shardmill/__init__.py", '["read"]', "[]", "read: Public object was removed"),
    ],
)
def test_break_in_patch_version_is_refused(
    repository: Path, name: str, old: str, new: str, found: str
) -> None:
    path = repository / name
    path.write_text(path.read_text().replace(old, new))
    ended = run(repository)
    assert ended.returncode == 1
    assert found in ended.stdout


def test_break_in_minor_version_before_1_is_permitted(repository: Path) -> None:
    (repository / "records" / "reading.py").write_text("def read(path): ...\n")
    (repository / "records" / "version.py").write_text('__version__ = "0.2.0"\n')
    ended = run(repository)
    assert ended.returncode == 0
    assert "permits them" in ended.stdout


def test_internal_name_is_not_part_of_the_api(repository: Path) -> None:
    path = repository / "shardmill" / "__init__.py"
    path.write_text(path.read_text().replace("def internal(number): ...", ""))
    assert run(repository).returncode == 0


def test_tag_of_current_commit_is_not_the_last_release(repository: Path) -> None:
    git(repository, "tag", "v0.2.0")
    assert find_last_release(repository) == "v0.1.0"


def test_folder_without_tag_has_no_release(tmp_path: Path) -> None:
    assert find_last_release(tmp_path) is None


@pytest.mark.parametrize(
    ("version", "tag", "permitted"),
    [
        ("0.1.1", "v0.1.0", False),
        ("0.10.0", "v0.9.9", True),
        ("1.0.0", "v0.9.0", True),
        ("1.1.0", "v1.0.0", False),
        ("2.0.0", "v1.9.0", True),
    ],
)
def test_version_permits_breaks_by_its_first_number_that_counts(
    version: str, tag: str, permitted: bool
) -> None:
    assert permits_breaks(version, tag) is permitted
