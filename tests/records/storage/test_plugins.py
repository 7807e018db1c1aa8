"""Storage plug-ins: entry points, URLs, and the conformance tests."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from records import storage as storage_package
from records.errors import UsageError
from records.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_MODULE = '''
"""A third-party package: folders in memory, as fsspec keeps them, under another scheme."""
from records.storage.fsspec import FsspecStorage

class CloudStorage(FsspecStorage):
    def __init__(self, url):
        super().__init__("memory://" + url.removeprefix("cloud://"))
        self.given = url

    def __reduce__(self):
        return (CloudStorage, (self.given,))

def no_storage(url):
    return object()
'''
_TESTS = """
import uuid

import pytest

from records.storage import open_storage
from records.testing.storage_conformance import StorageConformance


class TestCloudStorage(StorageConformance):
    @pytest.fixture
    def storage(self):
        return open_storage(f"cloud://{uuid.uuid4().hex}")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Install a distribution with entry points on `sys.path`; return the folder it is in."""

    def install(**factories: str) -> Path:
        site = tmp_path / "site"
        metadata = site / "cloud_plugin-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: cloud-plugin\nVersion: 1\n"
        )
        lines = [f"{scheme} = {factory}" for scheme, factory in factories.items()]
        text = "\n".join([f"[{storage_package.ENTRY_POINT_GROUP}]", *lines, ""])
        (metadata / "entry_points.txt").write_text(text)
        (site / "cloud_plugin.py").write_text(_MODULE)
        monkeypatch.syspath_prepend(site)
        storage_package.find_plugin.cache_clear()
        return site

    yield install
    sys.modules.pop("cloud_plugin", None)
    storage_package.find_plugin.cache_clear()


def test_open_storage_scheme_of_plugin_calls_its_factory_with_url(
    install: Callable[..., Path],
) -> None:
    install(cloud="cloud_plugin:CloudStorage")
    storage = open_storage("cloud://bucket/data")
    assert type(storage).__name__ == "CloudStorage"
    assert storage.given == "cloud://bucket/data"  # type: ignore[attr-defined]


def test_open_storage_builtin_schemes_ignore_plugins(
    install: Callable[..., Path], tmp_path: Path
) -> None:
    install(s3="cloud_plugin:CloudStorage", file="cloud_plugin:CloudStorage")
    for location in ("s3://photos/data", tmp_path.as_uri(), str(tmp_path)):
        assert type(open_storage(location)).__name__ in {"ObjectStorage", "LocalStorage"}


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("no_such_module:Storage", "the plug-in for cloud:// cannot be loaded"),
        ("cloud_plugin:Missing", "the plug-in for cloud:// cannot be loaded"),
        ("cloud_plugin:no_storage", "returned an object of the wrong type, expected .* got object"),
    ],
)
def test_open_storage_broken_plugin_raises_usage_error(
    install: Callable[..., Path], factory: str, message: str
) -> None:
    install(cloud=factory)
    with pytest.raises(UsageError, match=message) as refused:
        open_storage("cloud://bucket/data")
    assert refused.value.path == factory


def test_conformance_kit_runs_in_tests_of_third_party_package(
    install: Callable[..., Path], tmp_path: Path
) -> None:
    site = install(cloud="cloud_plugin:CloudStorage")
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_cloud.py").write_text(textwrap.dedent(_TESTS))
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
        cwd=tests,
        env={"PATH": "", "PYTHONPATH": ":".join([str(site), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "26 passed" in ended.stdout
