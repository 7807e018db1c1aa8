"""The log of a dataset: generations, numbers, times, commands and messages."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.compact import compact
from pipelines.convert import convert
from pipelines.options import ConvertOptions
from records import open_dataset, verify
from records.adopt import adopt
from records.errors import InputNotFoundError, OutputError, UsageError
from records.generations import make_provenance, read_provenance
from records.history import log
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.pipelines.history.grown import Grown
from tests.pipelines.pictures import content_of, make_folders


def test_log_has_the_numbers_of_each_generation_newest_first(grown: Grown) -> None:
    history = log(grown.location)
    assert [entry.generation for entry in history.generations] == [4, 3, 2, 1]
    for entry in history.generations:
        number = entry.generation
        before = grown.keys.get(number - 1, frozenset())
        assert entry.records == len(grown.keys[number])
        assert entry.added == len(grown.keys[number] - before)
        assert (entry.removed, entry.relabelled, entry.is_readable) == (0, 0, True)
        assert entry.provenance is not None
        assert entry.provenance.command == "convert --append"
        assert entry.provenance.source == str(grown.source)


def test_log_of_a_generation_ends_with_it(grown: Grown) -> None:
    assert [entry.generation for entry in log(grown.at(2)).generations] == [2, 1]


def test_log_has_times_and_messages(tmp_path: Path, place: str) -> None:
    grown = Grown(tmp_path / "source", place)
    started = datetime.now(UTC).timestamp()
    grown.append(["cat/1.png", "cat/2.png", "cat/3.png", "cat/4.png"], message="first\nsecond line")
    grown.append(["cat/5.png"])
    last, first = log(grown.location).generations
    assert first.provenance is not None
    assert last.provenance is not None
    times = [first.provenance.started, first.provenance.ended, last.provenance.ended]
    assert times == sorted(times)
    assert started - 1 <= times[0].timestamp() <= times[-1].timestamp() <= time.time() + 1
    assert [first.provenance.message, last.provenance.message] == ["first\nsecond line", None]
    lines = log(grown.location).lines()
    assert lines[1].endswith("  first")
    assert "convert --append" in lines[0]


@pytest.mark.parametrize("damage", [None, b"", b"[]", b'{"command": 1}', b"\xff"])
def test_log_without_provenance_has_the_numbers(grown: Grown, damage: bytes | None) -> None:
    storage = open_storage(grown.location)
    for name in ("provenance.json", "generations/0003/provenance.json"):
        if damage is None:
            storage.remove(name)
        else:
            storage.replace(name, damage)
    entries = {entry.generation: entry for entry in log(grown.location).generations}
    assert [number for number, entry in entries.items() if entry.provenance is None] == [3, 1]
    assert [entry.records for entry in entries.values()] == [
        len(grown.keys[number]) for number in (4, 3, 2, 1)
    ]
    assert log(grown.location).lines()[1].split()[1:3] == ["unknown", "unknown"]
    assert list(verify(grown.location)) == []


@pytest.mark.parametrize(
    ("ended", "shown"),
    [
        ("2026-03-01T01:30:00+02:00", "2026-02-28 23:30:00Z"),
        ("0001-01-01T00:00:00+14:00", "unknown"),
        ("9999-12-31T23:59:59-14:00", "unknown"),
    ],
)
def test_log_shows_a_time_with_an_offset_in_utc(grown: Grown, ended: str, shown: str) -> None:
    storage = open_storage(grown.location)
    name = "generations/0004/provenance.json"
    content = json.loads(storage.read(name)) | {"ended": ended}
    storage.replace(name, json.dumps(content).encode())
    assert log(grown.location).lines()[0].startswith(f"4  {shown}  ")


def test_log_lines_escape_the_message_of_each_generation(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    for number in range(2):
        grown.append([f"cat/{number}{i}.png" for i in "abcd"], message="why \x1b[31m", test=None)
    open_storage(grown.location).remove("generations/0001/dataset.json")
    pruned = log(grown.location).lines()[1]
    assert pruned.endswith(r"(pruned) why \x1b[31m")


def test_log_without_saved_manifest_marks_the_generation_as_pruned(grown: Grown) -> None:
    open_storage(grown.location).remove("generations/0002/dataset.json")
    lines = log(grown.location).lines()
    assert ["(pruned)" in line for line in lines] == [False, False, True, False]
    with pytest.raises(InputNotFoundError, match="pruned"):
        log(grown.at(2))


def test_log_command_prints_the_history(tmp_path: Path) -> None:
    source = make_folders(tmp_path / "source", cat=4, dog=3)
    data = str(tmp_path / "data")
    run = CliRunner().invoke
    given = ["convert", str(source), data, "--quiet", "--message", "why \x1b[31m"]
    assert run(shardmill, given).exit_code == 0
    text = run(shardmill, ["log", data])
    assert text.exit_code == 0
    assert text.output.startswith("1  ")
    assert "\x1b" not in text.output
    found = json.loads(run(shardmill, ["log", data, "--json"]).output)
    assert found["generations"][0]["provenance"]["message"] == "why \x1b[31m"
    assert found["generations"][0]["added"] == 7


def test_compact_and_adopt_write_their_provenance(grown: Grown, tmp_path: Path) -> None:
    compact(grown.location, str(tmp_path / "new"), message="smaller")
    (entry,) = log(tmp_path / "new").generations
    assert entry.provenance is not None
    assert (entry.provenance.command, entry.provenance.message) == ("compact", "smaller")
    (tmp_path / "loose").mkdir()
    for name in open_dataset(tmp_path / "new").files("train"):
        (tmp_path / "loose" / "train.tfrecord").write_bytes(Path(name).read_bytes())
    adopt([tmp_path / "loose" / "train.tfrecord"], tmp_path / "loose", message="theirs")
    (entry,) = log(tmp_path / "loose").generations
    assert entry.provenance is not None
    assert (entry.provenance.command, entry.provenance.message) == ("adopt", "theirs")


def test_provenance_has_versions_and_no_secrets() -> None:
    made = make_provenance(
        "convert",
        source="s3://key:secret1@bucket/photos?token=secret2",
        options={
            "list": "https://user:secret3@host/list.csv?sig=secret4",
            "classes": ["https://u:secret5@h/x"],
            "exclude": ["http://u:secret6@[*", "/a,s3://u:secret7@h/x?token=secret8"],
            "chained": "simplecache::s3://u:secret9@h/x",
        },
        message="from s3://u:secret10@h/x, see https://wiki/x?page=3",
    )
    assert "secret" not in repr(made)
    assert made.source == "s3://bucket/photos"
    assert made.message == "from s3://h/x, see https://wiki/x?page=3"
    assert made.versions["shardmill"]
    assert made.versions["pyarrow"]
    assert len(str(made.lock_sha256)) == 64
    assert made.lock_sha256 == make_provenance("log").lock_sha256


def test_options_given_leave_out_defaults_and_values_of_beam_flags() -> None:
    options = ConvertOptions(
        source="a", output="b", test=0.2, beam_flags=("--key=secret", "--other", "secret")
    )
    assert options.given() == {"test": 0.2, "beam_flags": ["--key", "--other"]}
    assert ConvertOptions(source="a", output="b", message="x").given() == {}


def test_provenance_of_the_user_is_not_replaced(tmp_path: Path) -> None:
    source = make_folders(tmp_path / "source", cat=3)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "provenance.json").write_bytes(b"mine")
    with pytest.raises(OutputError, match="provenance"):
        convert(ConvertOptions(source=str(source), output=str(tmp_path / "data")))
    assert content_of(tmp_path / "data").keys() <= {".shardmill/lock"}
    assert (tmp_path / "data" / "provenance.json").read_bytes() == b"mine"


def test_runs_without_a_new_generation_keep_the_provenance(grown: Grown) -> None:
    before = read_provenance(open_storage(grown.location), 4)
    grown.append([])
    assert read_provenance(open_storage(grown.location), 4) == before
    assert grown.present == 4


def test_log_of_a_missing_dataset_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        log(tmp_path / "none")
    with pytest.raises(UsageError):
        log("unknown-scheme://x/y")
