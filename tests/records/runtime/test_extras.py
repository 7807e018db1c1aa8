"""A missing optional package names the command that installs it."""

from pathlib import Path

import pytest

from records.errors import UsageError
from records.runtime.extras import check_extra, install_command, require_extra


def test_require_extra_installed_module_is_returned() -> None:
    import xml.dom

    assert require_extra("xml.dom", "plot") is xml.dom


@pytest.mark.parametrize("module", ["absent_package", "absent_package.figure"])
def test_require_extra_missing_package_is_a_usage_error_with_the_command(module: str) -> None:
    with pytest.raises(UsageError) as caught:
        require_extra(module, "plot")

    assert caught.value.what == "absent_package is not installed"
    assert caught.value.hint == install_command("plot")


def test_check_extra_finds_packages_without_importing_them() -> None:
    check_extra("xml", "plot")
    with pytest.raises(UsageError, match="absent_package is not installed"):
        check_extra("absent_package", "plot")


def test_require_extra_broken_package_keeps_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("import its_missing_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="its_missing_dependency"):
        require_extra("broken_package", "plot")


def test_install_command_depends_on_where_the_package_is(tmp_path: Path) -> None:
    assert install_command("plot", tmp_path) == 'pip install "shardmill[plot]"'

    (tmp_path / "pyproject.toml").touch()

    assert install_command("plot", tmp_path) == f'pip install "{tmp_path}[plot]"'
