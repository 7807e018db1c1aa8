"""The commands in a shell: output, errors, exit codes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from records.dataset import open_dataset
from records.format import layout
from tests.command_line import Ended, Run
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_folders, make_picture


def run_process(*arguments: str | os.PathLike[str]) -> Ended:
    """A command in a process of its own."""
    command = [sys.executable, "-m", "shardmill", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def assert_one_line(ended: Ended) -> str:
    """The one line on stderr of a command that failed; nothing is on stdout."""
    assert ended.out == ""
    assert ended.err.count("\n") == 1, ended.err
    assert "Traceback" not in ended.err
    return ended.err


def test_convert_command_prints_summary_on_stdout(source: Path, output: Path, run: Run) -> None:
    ended = run_process("convert", source, output, "--test", "0.3")
    assert (ended.code, ended.err) == (0, "")
    assert "21 files found = 21 stored + 0 rejected + 0 skipped + 0 excluded" in ended.out
    again = run("convert", source, output, "--test", "0.3")
    assert again.code == 0
    assert "nothing to do" in again.out


def test_convert_command_json_prints_only_the_report(source: Path, output: Path, run: Run) -> None:
    options = ("--json", "--test-count", "5", "--validation-count", "3", "--stratify")
    ended = run("convert", source, output, *options)
    report = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert report == json.loads((output / layout.REPORT).read_bytes())
    assert report["splits"]["test"]["images"] == 5
    assert report["counts"] == {
        "found": 21, "stored": 21, "rejected": 0, "skipped": 0, "excluded": 0, "known": 0,
    }  # fmt: skip


def test_convert_command_quiet_prints_nothing_and_applies_all_options(
    source: Path, output: Path, tmp_path: Path, run: Run
) -> None:
    rows = "path,label\ncat/000.png,a\ncat/001.png,b\ncat/002.png,a\ndog/000.png,b\n"
    listed = make_file(tmp_path, "list.csv", rows.encode())
    exclude = make_file(tmp_path, "exclude.txt", b"cat/002.png\n")
    options = (
        "--quiet --seed 7 --shards 2 --classes a,b --max-rejects 0.5 --max-pixels 10000"
        " --background 00ff00 --resize 8x4 --fit pad --store raw --channels 1 --workers 1"
        " --check header --group-by parent"
    )
    files = ("--list", listed, "--exclude", exclude)
    ended = run("convert", source, output, *options.split(), *files)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    manifest = open_dataset(output).manifest
    settings = manifest.settings
    assert (settings.seed, settings.shards, settings.group_by) == (7, 2, "parent")
    images = settings.images
    assert (images.resize, images.fit, images.store) == ((8, 4), "pad", "raw")
    assert (images.channels, images.background, images.check) == (1, "00ff00", "header")
    assert images.max_pixels == 10_000
    assert manifest.labels == ("a", "b")
    assert manifest.generations[0].counts.excluded == 1


def test_convert_command_list_prints_what_it_understood_before_the_conversion(
    source: Path, output: Path, tmp_path: Path, run: Run
) -> None:
    rows = "id;diagnosis;weight\n000;2;3,5\n001;0;4\n"
    listed = make_file(tmp_path, "list.csv", rows.encode())
    line = "labels from column `diagnosis`, 2 classes; images `cat/<id>.png`"
    command = ("convert", source, output, "--list", listed, "--image-folder", "cat")
    planned = run(*command, "--dry-run")
    assert (planned.code, planned.err) == (0, f"{listed}: {line}\n")
    assert f"\n  source     {line}\n" in planned.out
    assert "note: columns of the list that are not used: weight" in planned.out
    reported = run(*command, "--json")
    assert json.loads(reported.out)["understood"] == line
    assert reported.err.startswith(f"{listed}: {line}\n")
    assert run(*command, "--quiet").err == ""
    assert open_dataset(output).manifest.labels == ("0", "2")


def test_convert_command_column_map_and_leaf_class_options_are_applied(
    source: Path, output: Path, tmp_path: Path, run: Run
) -> None:
    rows = "where,what,when,who,path,label\ncat/000.png,a,train,g,-,-\ncat/001.png,b,dev,h,-,-\n"
    listed = make_file(tmp_path, "list.csv", rows.encode())
    names = ("--path-column", "where", "--label-column", "what", "--split-column", "when")
    files = ("--list", listed, "--group-column", "who", "--map", "a=A", "--map", "b=A")
    assert run("convert", source, output, *names, *files).code == 0
    assert open_dataset(output).manifest.labels == ("A",)
    assert {*open_dataset(output)} == {"train", "validation"}
    make_file(source, "dog/deep/er/1.png")
    assert run("convert", source, output.with_name("leaf"), "--leaf-class").code == 0
    assert "er" in open_dataset(output.with_name("leaf")).manifest.labels


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ("{source} {output} --label-column x", 2, "add --list FILE"),
        ("{source} {output} --map nothing=x", 2, "--map names a class"),
        ("{source} {output} --map /nowhere.csv", 66, "file not found"),
        ("{source} {output} --list x.csv --leaf-class", 2, "cannot be used together"),
        ("/nowhere {output}", 66, "folder not found"),
        ("{source} {source}", 2, "same folder"),
        ("{source} {output} --test 1.5", 2, "--test"),
        ("{source} {output} --test 0.2 --test-count 2", 2, "--test-count cannot be used together"),
        ("{source} {output} extra", 2, "unexpected argument after SOURCE and OUTPUT"),
        ("{source}/cat {source}/dog {output}", 2, "unexpected argument"),
        ("{source} {output} --runner Nope", 2, "unknown runner"),
        ("{source} {output} --runner ..x", 2, "unknown runner"),
        ("{source} {output} --runner os.path", 2, "unknown runner"),
        ("{source} {output} --labels {source}", 66, "a folder, not a file"),
        ("{source} {output} --classes ,", 2, "names separated by commas"),
        ("{source} {output} -- --no_such_flag", 2, "--no_such_flag"),
        ("{source} {output} --list /nowhere.csv", 66, "file not found"),
        ("{source} {output} --classes cow", 2, "cow"),
        ("{source} {output}/dataset.json --max-rejects 0", 65, "bad.png"),
        ("{source} /dev/null/data", 73, "cannot be written"),
        ("{source} {source}/cat/000.png", 73, "is a file"),
    ],
)
def test_convert_command_error_prints_one_line_and_sets_exit_code(
    source: Path, run: Run, arguments: str, code: int, word: str
) -> None:
    output = source.with_name("data")
    make_file(source, "cat/bad.png", CORRUPT)
    places = arguments.format(source=source, output=output).split()
    ended = run("convert", *places)
    assert ended.code == code
    assert word in assert_one_line(ended)


def test_convert_command_output_of_other_plan_exits_with_status_73(
    convert: Convert, source: Path, output: Path, run: Run
) -> None:
    convert()
    ended = run("convert", source, output, "--seed", "1")
    assert ended.code == 73
    assert "a different plan" in assert_one_line(ended)


@pytest.mark.slow
def test_convert_command_multi_processing_writes_same_bytes_silently(
    convert: Convert, tmp_path: Path, output: Path
) -> None:
    many = make_folders(tmp_path / "many", a=40, b=40)
    flags = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    ended = run_process("convert", many, output, "--shards", "4", "--quiet", "--", *flags)
    assert ended == (0, "", "")
    convert(source=str(many), output=str(tmp_path / "b"), shards=4)
    assert content_of(output) == content_of(tmp_path / "b")


@pytest.mark.parametrize(
    "mode",
    [
        "in_memory",
        pytest.param("multi_threading", marks=pytest.mark.slow),
        pytest.param("multi_processing", marks=pytest.mark.slow),
    ],
)
def test_convert_command_worker_failure_prints_one_line(
    source: Path, output: Path, mode: str
) -> None:
    # A folder where the first shard's index must be.
    (output / "index" / "train-00000-of-00001.parquet").mkdir(parents=True)
    ended = run_process("convert", source, output, "--", f"--direct_running_mode={mode}")
    assert ended.code in {73, 74}
    assert "train-00000-of-00001.parquet" in assert_one_line(ended)


def test_clean_and_extract_commands_print_counts_and_set_exit_codes(
    source: Path, output: Path, tmp_path: Path, run: Run
) -> None:
    make_file(source, "cat/bad.png", CORRUPT)
    assert run("convert", source, output, "--max-rejects", "0").code == 65
    foretold = run("clean", output, "--dry-run").out
    assert foretold.startswith("would remove 5 files")
    assert run("clean", output).out == foretold.replace("would remove", "removed")
    ended = run("clean", output)
    assert (ended.code, "no unfinished run found" in assert_one_line(ended)) == (66, True)
    assert run("convert", source, output, "--quiet").code == 0
    assert run("extract", output, tmp_path / "out") == (0, f"21 images in {tmp_path}/out\n", "")
    ended = run("extract", output, tmp_path / "out")
    assert (ended.code, "already exists" in assert_one_line(ended)) == (73, True)


def test_extract_command_prints_the_command_that_converts_the_images_again(
    source: Path, output: Path, tmp_path: Path, run: Run
) -> None:
    rows = "path,label,it's old\ncat/000.png,b|a,3\ndog/000.png,,4\n"
    listed, labels = make_file(tmp_path, "list.csv", rows.encode()), tmp_path / "b then a"
    labels.write_text("b\na\n")
    options = ("--label-separator", "|", "--keep-columns", "all", "--labels", labels)
    assert run("convert", source, output, "--list", listed, *options, "--quiet").code == 0
    shown = run("extract", output, tmp_path / "the images").out.splitlines()
    assert shown[0] == f"2 images in {tmp_path}/the images"
    _, _, command = shown[1].partition("to convert them again: ")
    name, *arguments = shlex.split(command.replace(" NEW ", f" {tmp_path}/new "))
    assert name == "shardmill"
    assert run(*arguments, "--quiet").code == 0
    again = open_dataset(tmp_path / "new")
    assert again.labels == ("b", "a")
    found = sorted((record.labels, record.columns["it's old"]) for record in again["train"])
    assert found == [((), 4), ((0, 1), 3)]
    as_json = json.loads(run("extract", output, tmp_path / "json", "--json").out)
    assert as_json["convert"] == arguments[3:]


def read_log(ended: Ended) -> list[dict[str, Any]]:
    """The lines on stderr, each an object with a time, a level and a message."""
    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    return lines


def test_json_log_successful_run_has_outcome_and_exit_code(
    source: Path, output: Path, run: Run
) -> None:
    done = run("convert", source, output, "--log-format", "json")
    outcome, end = read_log(done)
    assert (done.code, done.out) == (0, "")
    assert (outcome["status"], outcome["found"], outcome["stored"]) == ("converted", 21, 21)
    assert (end["message"], end["exit_code"]) == ("ended", 0)
    (source / "cat/000.png").unlink()
    night = run("--log-format=json", "convert", source, output, "--append", "--json")
    outcome, _ = read_log(night)
    assert (outcome["status"], outcome["changed"], outcome["gone"]) == ("nothing-to-do", 0, 1)
    assert json.loads(night.out)["gone"] == ["cat/000.png"]


@pytest.mark.parametrize(
    "values",
    [
        "--seed 7 0",
        "--shard-mb 64 128",
        "--fit pad stretch",
        "--store png source",
        "--channels 1 3",
        "--jpeg-quality 80 95",
        "--background 00ff00 FFFFFF",
        "--check header decode",
        "--max-pixels 1000000 100000000",
    ],
)
def test_append_option_with_its_default_is_compared_with_the_dataset(
    source: Path, output: Path, run: Run, values: str
) -> None:
    flag, made, default = values.split()
    command = ("convert", source, output, "--append", "--resize", "8", "--quiet")
    assert run(*command, flag, made) == (0, "", "")
    assert run(*command) == run(*command, flag, made) == (0, "", "")
    ended = run(*command, flag, default)
    assert ended.code == 2
    assert f"the dataset was written with a different {flag}, expected {made}" in ended.err.replace(
        "00FF00", "00ff00"
    )


def test_json_log_last_line_of_each_run_has_its_result(
    source: Path, output: Path, tmp_path: Path, run: Run
) -> None:
    command = ("convert", source, output, "--append", "--log-format=json", "--json")

    def last_line(*arguments: Any) -> dict[str, Any]:
        """Return the result in the last line on stderr."""
        *lines, end = read_log(run(*arguments))
        assert end["message"] == "ended"
        errors = [line["exit_code"] for line in lines if line["level"] == "error"]
        assert errors == ([end["exit_code"]] if end["exit_code"] else [])
        return {name: end.get(name) for name in ("status", "generation", "stored", "quarantined")}

    def result(status: str, generation: int, stored: int, *, quarantined: bool = False) -> Any:
        return {
            "status": status,
            "generation": generation,
            "stored": stored,
            "quarantined": quarantined,
        }

    assert last_line(*command) == result("converted", 1, 21)
    assert last_line(*command) == result("nothing-to-do", 1, 0)
    make_file(source, "cat/new.png", make_picture(5))
    assert last_line(*command, "--dry-run") == result("planned", 2, 1)
    assert last_line(*command) == result("converted", 2, 1)
    make_file(source, "cat/bad.png", CORRUPT)
    expected = result("converted", 3, 0, quarantined=True)
    assert last_line(*command, "--max-rejects=0", "--quarantine") == expected
    compacted = last_line("compact", output, tmp_path / "new", "--log-format=json")
    assert compacted == result("converted", 1, 22)
    assert set(last_line(*command, "--seed=9").values()) == {None}  # an error has no result
    assert set(last_line("verify", output, "--log-format=json").values()) == {None}


def test_convert_command_error_on_no_new_images_has_an_exit_code_of_its_own(
    source: Path, output: Path, run: Run
) -> None:
    command = ("convert", source, output, "--append", "--error-on-no-new-images", "--json")

    def ended(*options: str) -> tuple[int, int]:
        ended = run(*command, *options)
        return ended.code, json.loads(ended.out)["counts"]["stored"]

    assert ended("--dry-run") == (0, 21)
    assert ended() == (0, 21)
    assert ended() == ended("--dry-run") == (9, 0)
    assert run(*command[:4]).code == 0
    make_file(source, "cat/new.png", make_picture(5))
    assert ended("--dry-run") == ended() == (0, 1)
    make_file(source, "cat/bad.png", CORRUPT)
    assert ended() == (9, 0)  # a generation of rejects alone has no image
    make_file(source, "cat/bad2.png", CORRUPT)
    assert ended("--max-rejects=0", "--quarantine") == (1, 0)
    assert run(*command, "--seed=9").code == 2


def test_json_log_failed_run_has_error_fields_and_exit_code(
    source: Path, output: Path, run: Run
) -> None:
    ended = run("convert", "/nowhere", output, "--log-format=json")
    error, end = read_log(ended)
    assert (error["level"], error["exit_code"], error["path"]) == ("error", 66, "/nowhere")
    assert error["message"] == f"/nowhere: {error['what']}"
    assert (end["message"], end["exit_code"], ended.code) == ("ended", 66, 66)
    error, _ = read_log(run("convert", source, output, "--nonsense", "--log-format", "json"))
    assert (error["exit_code"], "--nonsense" in error["message"]) == (2, True)
    error, _ = read_log(run("convert", "/nowhere", output, "--log-format=json", "--verbose"))
    assert error["trace"].startswith("Traceback")
    plain = run("convert", "/nowhere", output)
    assert plain.err.startswith("shardmill: /nowhere: ")


def test_json_log_sigterm_logs_exit_code_143(
    monkeypatch: pytest.MonkeyPatch, source: Path, output: Path, run: Run
) -> None:
    monkeypatch.setattr(
        "pipelines.convert.convert", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    ended = run("convert", source, output, "--log-format=json")
    stopped, end = read_log(ended)
    assert stopped["message"].startswith("terminated; resume with: shardmill convert ")
    assert (end["message"], end["exit_code"], ended.code) == ("ended", 143, 143)
