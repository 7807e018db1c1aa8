"""Compaction of adopted files gives a dataset of a conversion."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import shardmill as sm
from pipelines.compact import compact
from records import open_dataset, verify
from records.adopt import adopt
from records.errors import CorruptDataError, UsageError
from records.format.example import encode_example
from records.format.layout import SPLITS
from records.format.tfrecord import frame_bytes
from shardmill.cli import shardmill
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture
from tests.records.adopt.examples import Features, named_example, slim_example, tfds_example


def write_examples(path: Path, examples: list[Features]) -> None:
    """Write a file without TensorFlow, whose import takes seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(frame_bytes(encode_example(example)) for example in examples))


@pytest.fixture
def adopted(convert: Convert, output: Path, tmp_path: Path) -> Path:
    """Adopt the shards of a conversion under other names, as files of another program."""
    convert(test=0.3)
    folder = tmp_path / "adopted"
    folder.mkdir()
    for split in SPLITS:
        for number, shard in enumerate(sorted(output.glob(f"{split}-*.tfrecord"))):
            shutil.copy(shard, folder / f"{split}_{number}.record")
    adopt([*folder.iterdir()], folder)
    return folder


def test_compact_adopted_shards_of_conversion_gives_their_bytes(
    adopted: Path, output: Path, tmp_path: Path
) -> None:
    before = content_of(adopted)
    report = compact(str(adopted), str(tmp_path / "new"))
    converted, written = content_of(output), content_of(tmp_path / "new")
    shards = {name for name in converted if name.endswith(".tfrecord")}
    assert shards
    assert {name: written[name] for name in shards} == {name: converted[name] for name in shards}
    assert list(verify(tmp_path / "new", decode=True)) == []
    assert open_dataset(tmp_path / "new").manifest.adopted is None
    assert compact(str(adopted), str(tmp_path / "new")).status == "nothing-to-do"
    assert report.counts.stored == 21
    assert content_of(adopted) == before


@pytest.mark.parametrize("example", [slim_example, tfds_example, named_example])
def test_compact_adopted_records_keeps_images_labels_and_keys(
    tmp_path: Path, example: Callable[[int], Features]
) -> None:
    write_examples(tmp_path / "old/a_train.record", [example(number) for number in range(9)])
    write_examples(tmp_path / "old/b_val.record", [example(number) for number in range(9, 15)])
    adopt([*(tmp_path / "old").iterdir()], tmp_path / "old")
    compact(str(tmp_path / "old"), str(tmp_path / "new"), processes=1)
    assert list(verify(tmp_path / "new", decode=True)) == []
    old, new = open_dataset(tmp_path / "old"), open_dataset(tmp_path / "new")
    assert old.labels == new.labels
    for split in old:
        fields = [
            {(it.key, it.image, it.labels, it.class_names, it.width, it.channels) for it in records}
            for records in (old[split], new[split])
        ]
        assert fields[0] == fields[1]


def test_compacted_adopted_dataset_is_appended_to_and_edited(
    adopted: Path, source: Path, tmp_path: Path
) -> None:
    make_file(source, "dog/new.png", make_picture(900))
    with pytest.raises(UsageError, match="cannot append to an adopted dataset") as raised:
        sm.convert(str(source), str(adopted), append=True)
    (command,) = re.findall("`(.*)`", str(raised.value.hint))
    _, *arguments = shlex.split(command)
    assert CliRunner().invoke(shardmill, arguments).exit_code == 0
    data = arguments[-1]
    report = sm.convert(str(source), data, append=True)
    assert (report.counts.stored, report.generation) == (1, 2)
    assert sm.remove(data, keys=["dog/new.png"]).removed == 1
    assert list(verify(data, decode=True)) == []


def test_compact_adopted_file_that_changed_is_corrupt(adopted: Path, tmp_path: Path) -> None:
    path = adopted / "train_0.record"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"train_0\.record"):
        compact(str(adopted), str(tmp_path / "new"))


def test_compact_excluded_records_of_adopted_file_stay_rejects(tmp_path: Path) -> None:
    examples = [named_example(number) for number in range(9)]
    examples[3]["image/encoded"] = [b"not an image"]
    write_examples(tmp_path / "old/train.record", examples)
    adopt(tmp_path / "old/train.record", tmp_path / "old")
    report = compact(str(tmp_path / "old"), str(tmp_path / "new"))
    assert (report.counts.stored, report.counts.rejected) == (8, 1)
    assert b"daisy/3.jpg" in (tmp_path / "new/rejects.jsonl").read_bytes()
