"""What every command keeps: no overwriting, JSON, completion, escaped text, true hints."""

from __future__ import annotations

import ast
import functools
import json
import logging
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import shardmill.cli
from records.cli.params import Fraction, Location, NewFile
from records.errors import UsageError
from records.runtime.docs import docs_page
from records.runtime.extras import install_command
from records.storage import open_storage
from records.text.escaping import is_invisible
from records.text.formatting import pluralize
from shardmill.interrupted import resume_hint
from tests.datasets import DatasetBuilder, Source, encode_picture

PROJECT = Path(shardmill.cli.__file__).parents[1]
PACKAGES = ("shardmill", "records", "pipelines", "trainers")
ROOT = shardmill.cli.shardmill
HOSTILE = ("ab\u202egnp", "z\u200bw", "\u2066\u3164b")
OTHER_TEXT = {
    "background", "group_by", "runner", "splits", "features", "split", "validation_split", "model",
    "classes", "resize", "beam_flags", "path_column", "label_column", "split_column",
    "group_column", "target_column", "keep_columns", "label_separator", "target", "message",
    "older_than", "where", "rename_class", "fold", "host", "name", "set",
}  # fmt: skip


def commands() -> dict[str, click.Command]:
    context = click.Context(ROOT)
    found = {name: ROOT.get_command(context, name) for name in ROOT.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def parameters(kind: type[click.ParamType[object]]) -> list[tuple[str, click.Parameter]]:
    return [
        (name, parameter)
        for name, command in commands().items()
        for parameter in command.params
        if isinstance(parameter.type, kind)
    ]


@functools.cache
def modules() -> list[tuple[Path, list[ast.AST]]]:
    paths = [path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py"))]
    return [(path, list(ast.walk(ast.parse(path.read_text())))) for path in paths]


@pytest.mark.parametrize("is_link", [False, True])
@pytest.mark.parametrize(
    ("name", "option"),
    [pytest.param(*it, id=f"{it[0]}-{it[1].name}") for it in parameters(NewFile)],
)
def test_command_output_file_exists_is_refused_and_unchanged(
    name: str, option: click.Option, tmp_path: Path, is_link: bool
) -> None:
    suffixes = {"report": ".html", "corrections": ".jsonl"}
    path = tmp_path / f"mine{suffixes.get(name) or suffixes.get(str(option.name), '.png')}"
    if is_link:
        path.symlink_to(tmp_path / "absent")
    else:
        path.write_text("mine")
    command = commands()[name]
    needed = ["x" for it in command.params if isinstance(it, click.Argument) and it.required]
    result = CliRunner().invoke(command, [*needed, option.opts[0], str(path)])
    error = result.exception
    assert getattr(error, "exit_code", None) == 73, error
    assert "choose another name" in str(error)
    assert path.is_symlink() == is_link
    assert not (tmp_path / "absent").exists()
    assert is_link or path.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "option"),
    [pytest.param(*it, id=f"{it[0]}-{it[1].name}") for it in parameters(NewFile)],
)
def test_command_output_file_that_is_a_dash_is_no_file(
    name: str, option: click.Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = commands()[name]
    needed = ["x" for it in command.params if isinstance(it, click.Argument) and it.required]
    error = CliRunner().invoke(command, [*needed, option.opts[0], "-"]).exception
    assert isinstance(error, UsageError)
    assert "not the standard output" in str(error)


def test_commands_output_files_are_all_new_files() -> None:
    assert {(name, option.opts[0]) for name, option in parameters(NewFile)} == {
        ("inspect", "--grid"), ("stats", "--plot"), ("stats", "--grid"), ("predict", "--csv"),
        ("quality", "--grid"), ("evaluate", "--csv"), ("runs", "--chart"),
        ("label-errors", "--corrections"), ("label-errors", "--grid"),
        ("predict", "--grid"), ("train", "--augment-preview"), ("diff", "--csv"),
        ("train", "--find-learning-rate"),
        ("diff", "--plot"), ("report", "-o"),
    }  # fmt: skip


def test_commands_text_parameters_are_paths_unless_listed() -> None:
    plain = {p.name for _, p in parameters(click.ParamType) if p.type == click.STRING}
    assert plain <= OTHER_TEXT
    assert not parameters(click.Path)


@pytest.mark.parametrize("name", commands())
def test_command_json_option_exists(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in commands()[name].params)


@pytest.mark.parametrize(
    "name", ["compact", "convert", "export-dataset", "extract", "featurize", "relabel", "remove"]
)
def test_command_quiet_option_hides_notes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = commands()[name]
    (parameter,) = (each for each in command.params if "--quiet" in each.opts)
    for quiet, seen in ((False, "shardmill: note: look\n"), (True, "")):
        parameter.process_value(click.Context(command), quiet)
        logging.getLogger("shardmill").warning("look")
        assert capsys.readouterr() == ("", seen)


def test_parameters_that_are_paths_complete_file_names() -> None:
    found = parameters(Location)
    assert len(found) > 25
    for _, parameter in found:
        (item,) = parameter.type.shell_complete(click.Context(ROOT), parameter, "dat")
        assert item.type == "file"


@pytest.mark.parametrize(
    ("name", "parameter"),
    [pytest.param(*it, id=f"{it[0]}-{it[1].name}") for it in parameters(Location)],
)
def test_command_path_that_is_empty_is_a_usage_error(name: str, parameter: click.Parameter) -> None:
    command, is_option = commands()[name], isinstance(parameter, click.Option)
    needed = [
        "" if it is parameter else "x"
        for it in command.params
        if isinstance(it, click.Argument) and (it.required or it is parameter)
    ]
    options = [parameter.opts[0], ""] if is_option else []
    error = CliRunner().invoke(command, [*options, *needed]).exception
    assert isinstance(error, UsageError), error
    assert "is empty, expected a path or URL" in str(error)


def test_bash_completes_paths_model_names_and_weights(tmp_path: Path) -> None:
    (tmp_path / "dataset-of-mine").mkdir()
    (tmp_path / "vgg.weights.h5").touch()
    code = "import sys; sys.argv[0] = 'shardmill'; from shardmill.cli import main; main()"
    program = tmp_path / "bin" / "shardmill"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/bash\n"
        f'[ -n "$_SHARDMILL_COMPLETE" ] && exec {sys.executable} -c "{code}" "$@"\n'
        'printf "GOT %s\\n" "$*"\n'
    )
    program.chmod(0o755)
    setup = tmp_path / "bashrc"
    setup.write_text('PS1="> "\neval "$(_SHARDMILL_COMPLETE=bash_source shardmill)"\necho READY\n')
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "TERM": "dumb",
    }
    terminal, side = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--noprofile", "--rcfile", str(setup), "-i"],
        stdin=side, stdout=side, stderr=side, cwd=tmp_path, env=environment, close_fds=True,
        start_new_session=True,
    )  # fmt: skip
    os.close(side)
    try:
        read_until(terminal, "READY")
        os.write(terminal, b"shardmill verify data\t\n")
        assert "GOT verify dataset-of-mine/" in read_until(terminal, "GOT .*\n")
        os.write(terminal, b"shardmill train --weights vg\t\n")
        assert "GOT train --weights vgg.weights.h5" in read_until(terminal, "GOT .*\n")
        os.write(terminal, b"shardmill train --weights imag\t\n")
        assert "GOT train --weights imagenet" in read_until(terminal, "GOT .*\n")
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)


def read_until(terminal: int, pattern: str, seconds: float = 60) -> str:
    text, end = "", time.monotonic() + seconds
    while not re.search(pattern, text):
        assert time.monotonic() < end, text
        text += os.read(terminal, 1 << 16).decode()
    return text


@pytest.fixture(scope="module")
def hostile_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("hostile") / "data"
    sources = [
        Source(f"{HOSTILE[number % 3]}/{number}\u202e.png".encode(), number % 3, encode_picture(7))
        for number in range(9)
    ]
    DatasetBuilder(open_storage(folder), HOSTILE).build(
        {"train": [sources[:6]], "test": [sources[6:]]}
    )
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        "inspect",
        "verify",
        "files",
        "stats",
        "stats --keys duplicates",
        "quality",
        "extract",
        "export-dataset --format webdataset",
        "compact --dry-run",
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_command_output_has_no_invisible_character(
    hostile_dataset: Path, tmp_path: Path, arguments: str, as_json: bool
) -> None:
    name, *options = arguments.split()
    targets = [tmp_path / "out\u202e"] if name in {"compact", "export-dataset", "extract"} else []
    given = [*map(str, [hostile_dataset, *targets]), *options, *["--json"] * as_json]
    result = CliRunner().invoke(commands()[name], given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.stdout
    assert not [c for c in result.output if c != "\n" and is_invisible(c)]
    if as_json:
        assert json.loads(result.stdout) is not None


def test_modules_other_than_the_output_module_do_not_write_to_stdout() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path, nodes in modules()
        for node in nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "click.echo"}
    ]
    assert [place for place in found if not place.startswith("records/cli/output.py")] == []


COUNTED = re.compile(
    r" (?:[a-z]+ )?(?:images|files|shards|records|classes|bytes|pixels|rows|lines|parts|features|"
    r"components|bits|layers|times|groups|epochs|steps|keys|pairs|batches|workers|columns)\b(?!/)"
)


def test_messages_number_and_noun_agree() -> None:
    """A number before a plural noun comes from `pluralize`, unless the number is a constant."""
    found = []
    for path, nodes in modules():
        for node in nodes:
            if not isinstance(node, ast.JoinedStr):
                continue
            for value, text in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                    source = ast.unparse(value.value)
                    agrees = source.startswith("pluralize(") or source.strip("_").isupper()
                    if COUNTED.match(str(text.value)) and not agrees:
                        found.append(f"{path.name}:{node.lineno} {source}{text.value!r}")
    assert found == []


def test_messages_name_no_file_of_the_repository() -> None:
    """A wheel contains neither `docs/` nor `tests/`."""
    found = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path, nodes in modules()
        for node in nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\bdocs/[\w/-]+\.md|\bpip install \"?shardmill\[", node.value)
        and "records/runtime/extras.py" not in str(path)
    ]
    assert found == []


def test_docs_page_every_named_page_exists() -> None:
    names = [
        str(node.args[0].value)
        for _, nodes in modules()
        for node in nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "docs_page"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert names
    for name in names:
        assert (PROJECT / "docs" / f"{name}.md").is_file(), name
    site = re.search(r"^site_url: (\S+)$", (PROJECT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert site is not None
    assert docs_page("a/b").startswith(site[1])


@pytest.mark.parametrize("in_checkout", [True, False])
def test_install_command_from_a_checkout_names_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_checkout: bool
) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path if in_checkout else tmp_path / "other")
    place = "." if in_checkout else str(tmp_path)
    assert install_command("heif", tmp_path) == f'pip install "{place}[heif]"'
    assert install_command("heif", tmp_path / "other") == 'pip install "shardmill[heif]"'


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("20", "did you mean 0.2 or --test-count 20?"),
        ("5000", "did you mean --test-count 5000?"),
        ("20%", "did you mean 0.2?"),
        ("2,5 %", "did you mean 0.025?"),
        ("0.2.", "did you mean 0.2?"),
        ("0,2", "did you mean 0.2?"),
        ("1/5", "did you mean 0.2?"),
        ("99.9999999%", "did you mean 0.999999999?"),
        ("0,99999999", "did you mean 0.99999999?"),
        ("9999999/10000000", "did you mean 0.9999999?"),
        ("0.9999999999999999999", "which is rounded to 1"),
        ("1e-400", "which is rounded to 0"),
        ("1/0", None),
        ("9" * 400 + "/1", None),
        ("9" * 5000, None),
        ("1e400", None),
        ("1", None),
        ("0", None),
        ("a fifth", None),
        ("nan", None),
        ("-0.2", None),
    ],
)
def test_fraction_slip_is_refused_with_the_fraction_that_was_meant(
    text: str, hint: str | None
) -> None:
    with pytest.raises(click.BadParameter) as found:
        Fraction(count_flag="--test-count").convert(text, None, None)
    if hint is not None:
        assert hint in str(found.value)
    elif text != "1":
        assert "did you mean 0" not in str(found.value)


def test_commands_fractions_have_the_type_with_the_hint() -> None:
    flags = {parameter.opts[0] for _, parameter in parameters(Fraction)}
    assert {"--test", "--validation", "--max-rejects", "--dropout", "--head-dropout"} <= flags


@pytest.mark.parametrize(
    ("arguments", "resumed"),
    [
        ("train data run", "train data run --resume"),
        ("train data run --epochs 3 --resume", "train data run --epochs 3 --resume"),
        ("train 'my data' 'run 2'", "train 'my data' 'run 2' --resume"),
        ("--log-format json convert photos data --test 0.2", None),
        ("featurize data features --model vgg16", None),
        ("predict run s3://b/new --csv-parts out", None),
    ],
)
def test_resume_hint_is_the_command_that_continues(arguments: str, resumed: str | None) -> None:
    hint = resume_hint(shlex.split(arguments))
    assert hint == f"resume with: shardmill {resumed or arguments}"


@pytest.mark.parametrize(
    ("noun", "nouns"),
    [("image", "images"), ("class", "classes"), ("epoch", "epochs"), ("batch", "batches")],
)
def test_pluralize_number_and_noun_agree(noun: str, nouns: str) -> None:
    assert [pluralize(number, noun) for number in (0, 1, 2000)] == [
        f"0 {nouns}", f"1 {noun}", f"2,000 {nouns}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("verify", []),
        ("files", []),
        ("stats", []),
        ("quality", []),
        ("inspect", []),
        ("report", ["-o", "out\udcff.html"]),
        ("extract", ["out\udcff"]),
        ("export-dataset", ["out\udcff", "--format", "parquet"]),
        ("compact", ["out\udcff", "--dry-run"]),
        ("train", ["run\udcff", "--dry-run"]),
    ],
)
def test_command_path_that_is_not_utf_8_prints_json(
    hostile_dataset: Path, tmp_path: Path, name: str, options: list[str]
) -> None:
    shutil.copytree(hostile_dataset, tmp_path / "data\udcff")
    given = [str(tmp_path / text) if "\udcff" in text else text for text in options]
    arguments = [str(tmp_path / "data\udcff"), *given, "--json"]
    result = CliRunner().invoke(commands()[name], arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert json.loads(result.stdout) is not None


def test_convert_group_pattern_that_is_not_utf_8_is_refused() -> None:
    arguments = ["photos", "data", "--group-by", "ro\udcff", "--test", "0.2"]
    error = CliRunner().invoke(commands()["convert"], arguments).exception
    assert isinstance(error, UsageError), error


@pytest.mark.parametrize(
    "arguments", ["verify data", "train data run --dry-run", "predict r f", ""]
)
def test_resume_hint_nothing_to_continue_is_none(arguments: str) -> None:
    assert resume_hint(arguments.split()) is None


def number_options() -> list[tuple[str, click.IntRange | click.FloatRange]]:
    return [
        (f"{name} {option.opts[0]}", option.type)
        for name, command in commands().items()
        for option in command.params
        if isinstance(option.type, click.IntRange | click.FloatRange)
    ]


def test_number_options_refuse_numbers_that_are_huge_or_not_finite() -> None:
    options = number_options()
    assert len(options) > 10
    for name, kind in options:
        convert: Callable[..., float] = kind.convert
        values = ["nan", "inf", "-inf", "1e400"]
        for value in values if isinstance(kind, click.FloatRange) else [*values, str(10**20)]:
            with pytest.raises(click.BadParameter):
                pytest.fail(f"{name} {value}: {convert(value, None, None)}")
