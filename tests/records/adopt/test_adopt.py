"""Files that others wrote become a dataset that reads as one of ours, and stay what they were."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

import records
from records.adopt import adopt
from records.adopt.plan import plan_adoption
from records.errors import (
    CorruptDataError,
    InputNotFoundError,
    OutputError,
    StorageError,
    TooManyRejectsError,
    UsageError,
)
from records.stats.counts import stats
from tests.datasets import encode_picture
from tests.records.adopt.examples import (
    NAMES,
    detection_example,
    named_example,
    slim_example,
    tfds_example,
    write_examples,
)

if TYPE_CHECKING:
    from pathlib import Path

    from records.adopt.report import AdoptReport


def adopt_all(folder: Path, **options: Any) -> AdoptReport:
    files = [str(path) for path in folder.iterdir() if "record" in path.name]
    return adopt(files, folder, **options)


@pytest.fixture
def slim(tmp_path: Path) -> Path:
    """Two files to train and one to validate, as TF-Slim's flowers are named."""
    folder = tmp_path / "flowers"
    for split, shard, of, first in (
        ("train", 0, 2, 0),
        ("train", 1, 2, 6),
        ("validation", 0, 1, 20),
    ):
        examples = [slim_example(first + number) for number in range(6)]
        write_examples(folder / f"flowers_{split}_{shard:05d}-of-{of:05d}.tfrecord", examples)
    return folder


def test_adopt_slim_files_read_as_shardmill_dataset(slim: Path) -> None:
    (slim / "labels.txt").write_text("0:daisy\n1:rose\n2:tulip")
    before = {path: path.read_bytes() for path in slim.iterdir()}
    report = adopt_all(slim)
    assert report.labels == NAMES
    assert report.adopted.preexisting == ("labels.txt",)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert list(records.verify(slim, decode=True)) == []
    dataset = records.open_dataset(slim)
    assert {split: len(dataset[split]) for split in dataset} == {"train": 12, "validation": 6}
    for number in (0, 7, 11):
        record, example = dataset["train"][number], slim_example(number)
        assert [record.image] == example["image/encoded"]
        assert (record.label, record.class_name) == (number % 3, NAMES[number % 3])
        assert (record.width, record.height, record.channels) == (12, 9, 3)
    assert list(dataset["train"]) == dataset["train"][:]
    assert dataset["train"][7].key == "flowers_train_00001-of-00002.tfrecord/000001"
    figures = stats(dataset)
    assert (figures.records, figures.formats) == (18, {"jpeg": 9, "png": 9})


def test_adopt_second_run_reports_nothing_to_do(slim: Path) -> None:
    first = adopt_all(slim)
    content = {path: path.read_bytes() for path in slim.rglob("*") if path.is_file()}
    assert (first.status, adopt_all(slim).status) == ("adopted", "nothing-to-do")
    assert content == {path: path.read_bytes() for path in slim.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match="not made of these files"):
        adopt([min(slim.glob("*.tfrecord"))], slim)


def test_adopt_dry_run_writes_nothing(slim: Path) -> None:
    before = sorted(slim.rglob("*"))
    assert adopt_all(slim, dry_run=True).status == "planned"
    assert sorted(slim.rglob("*")) == before


def test_adopt_one_based_labels_with_names_and_keys_are_read_from_records(tmp_path: Path) -> None:
    write_examples(tmp_path / "train.record", [named_example(number) for number in range(9)])
    report = adopt_all(tmp_path)
    assert (report.labels, report.adopted.first_label) == (NAMES, 1)
    record = records.open_dataset(tmp_path)["train"][4]
    assert (record.label, record.class_name, record.key) == (1, "rose", "rose/4.jpg")
    assert list(records.verify(tmp_path)) == []


def test_adopt_class_names_without_labels_are_numbered(tmp_path: Path) -> None:
    examples = [named_example(number) for number in range(6)]
    for example in examples:
        del example["image/class/label"]
    write_examples(tmp_path / "train.record", examples)
    assert adopt_all(tmp_path).labels == NAMES
    assert [record.label for record in records.open_dataset(tmp_path)["train"]] == [
        0,
        1,
        2,
        0,
        1,
        2,
    ]


def test_adopt_pbtxt_label_map_sets_first_label_to_1(tmp_path: Path) -> None:
    examples = [slim_example(number, first_label=1) for number in range(6) if number % 3 < 2]
    write_examples(tmp_path / "train.record", examples)
    items = "".join(f'item {{ id: {n} name: "{name}" }}\n' for n, name in enumerate(NAMES, 1))
    (tmp_path / "map.pbtxt").write_text(items)
    report = adopt_all(tmp_path, labels=str(tmp_path / "map.pbtxt"))
    assert (report.labels, report.adopted.first_label) == (NAMES, 1)
    assert [record.class_name for record in records.open_dataset(tmp_path)["train"]][:2] == [
        "daisy",
        "rose",
    ]


def test_adopt_invalid_records_are_excluded_and_reported(tmp_path: Path) -> None:
    examples = [named_example(number) for number in range(12)]
    examples[3]["image/encoded"] = [encode_picture(3)[:-20]]
    examples[5]["image/class/label"] = []
    examples[8]["image/encoded"] = [b"GIF89a not an image"]
    path = write_examples(tmp_path / "train.record", examples)
    report = adopt_all(tmp_path)
    assert [(reject.key, reject.reason) for reject in report.rejects] == [
        ("daisy/3.jpg", "truncated"),
        ("tulip/5.jpg", "no-class"),
        ("tulip/8.jpg", "corrupt"),
    ]
    assert (report.counts.found, report.counts.stored) == (12, 9)
    dataset = records.open_dataset(tmp_path)
    keys = [f"{NAMES[n % 3]}/{n}.jpg" for n in range(12) if n not in {3, 5, 8}]
    assert [record.key for record in dataset["train"]] == keys
    assert [dataset["train"][n].key for n in range(9)] == keys
    assert list(records.verify(tmp_path, decode=True)) == []
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert [(f.kind, f.key) for f in records.verify(tmp_path)] == [
        ("payload-checksum", "daisy/0.jpg")
    ]
    lines = (tmp_path / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["class"] for line in lines] == ["daisy", None, "tulip"]


@pytest.fixture
def tfx(tmp_path: Path) -> Path:
    """The examples of a pipeline of TFX."""
    folder = tmp_path / "examples"
    for split, numbers in (("train", range(8)), ("eval", range(8, 12))):
        path = folder / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"
        write_examples(path, [named_example(number) for number in numbers], compression="GZIP")
    return folder


def test_adopt_gzip_files_of_tfx_have_uncompressed_copies_as_shards(tfx: Path) -> None:
    files = sorted(tfx.rglob("*.gz"))
    before = {path: path.read_bytes() for path in files}
    planned = adopt(files, tfx, dry_run=True)
    assert sorted(path for path in tfx.rglob("*") if path.is_file()) == files
    report = adopt(files, tfx)
    assert (report.splits, report.notes) == (planned.splits, planned.notes)
    assert {name: split.records for name, split in report.splits.items()} == {
        "train": 8,
        "validation": 4,
    }
    assert "2 compressed files" in report.notes[-1]
    assert all(path.read_bytes() == content for path, content in before.items())
    for path, content in before.items():
        assert path.with_suffix("").read_bytes() == gzip.decompress(content)
    assert list(records.verify(tfx, decode=True)) == []
    assert adopt(files, tfx).status == "nothing-to-do"
    for path in files:
        path.unlink()
    assert list(records.verify(tfx, decode=True)) == []
    copies = [path.with_suffix("") for path in files]
    assert adopt(copies, tfx).status == "nothing-to-do"


def test_adopt_gzip_file_changed_after_scan_raises_storage_error(
    tfx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = plan_adoption
    path = min(tfx.rglob("*.gz"))

    def change(*given: Any) -> Any:
        path.write_bytes(gzip.compress(b"other"))
        return real(*given)

    monkeypatch.setattr("records.adopt.adoption.plan_adoption", change)
    with pytest.raises(StorageError, match="changed while it was read"):
        adopt([*tfx.rglob("*.gz")], tfx)
    assert not path.with_suffix("").exists()
    assert not (tfx / "dataset.json").exists()


def test_adopt_truncated_gzip_file_raises_corrupt_data(tfx: Path) -> None:
    path = min(tfx.rglob("*.gz"))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CorruptDataError, match="salvage"):
        adopt([*tfx.rglob("*.gz")], tfx)


class TestRefusals:
    def test_adopt_object_detection_records_raise_usage_error(self, tmp_path: Path) -> None:
        write_examples(tmp_path / "train.record", [detection_example(n) for n in range(3)])
        with pytest.raises(UsageError, match="object detection"):
            adopt_all(tmp_path)

    @pytest.mark.parametrize(
        ("compression", "words"),
        [
            ("GZIP", "GZIP file needs a name that ends in .gz.*rename the file"),
            ("ZLIB", "ZLIB file cannot be adopted.*salvage"),
        ],
    )
    def test_adopt_compressed_file_without_gz_suffix_raises_usage_error(
        self, tmp_path: Path, compression: str, words: str
    ) -> None:
        write_examples(tmp_path / "train.record", [slim_example(1)], compression=compression)
        with pytest.raises(UsageError, match=words):
            adopt_all(tmp_path)

    def test_adopt_gzip_file_next_to_other_file_of_its_copy_raises(self, tmp_path: Path) -> None:
        path = write_examples(tmp_path / "train.gz", [tfds_example(1)], compression="GZIP")
        (tmp_path / "train").write_bytes(b"a file of the user")
        with pytest.raises(OutputError, match="already exists and differs"):
            adopt(path, tmp_path)
        assert (tmp_path / "train").read_bytes() == b"a file of the user"
        assert not (tmp_path / "dataset.json").exists()
        (tmp_path / "train").unlink()
        assert adopt(path, tmp_path).status == "adopted"

    def test_adopt_gzip_file_and_its_copy_raises_usage_error(self, tmp_path: Path) -> None:
        for name, compression in (("train", ""), ("train.gz", "GZIP")):
            write_examples(tmp_path / name, [tfds_example(1)], compression=compression)
        with pytest.raises(UsageError, match="same name"):
            adopt([tmp_path / "train", tmp_path / "train.gz"], tmp_path)

    def test_adopt_truncated_file_raises_corrupt_data_with_salvage_hint(self, slim: Path) -> None:
        path = next(slim.iterdir())
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(CorruptDataError, match="salvage"):
            adopt_all(slim)

    def test_adopt_more_excluded_than_max_rejects_raises_too_many_rejects(
        self, tmp_path: Path
    ) -> None:
        examples = [{**tfds_example(n), "label": [-1]} for n in range(11)]
        write_examples(tmp_path / "test.record", [*examples, tfds_example(0)])
        with pytest.raises(TooManyRejectsError, match="11 of 12 records"):
            adopt_all(tmp_path)
        assert adopt_all(tmp_path, max_rejects=11).counts.stored == 1

    def test_adopt_file_outside_dataset_folder_raises_usage_error(
        self, slim: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "data").mkdir()
        file = str(next(slim.iterdir()))
        with pytest.raises(UsageError, match="not in the output folder"):
            adopt([file], tmp_path / "data")

    def test_adopt_missing_file_raises_input_not_found(self, tmp_path: Path) -> None:
        with pytest.raises(InputNotFoundError, match="file not found"):
            adopt([tmp_path / "train.record"], tmp_path)

    def test_adopt_label_map_with_too_few_classes_raises_usage_error(
        self, slim: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "labels").write_text("one\ntwo\n")
        with pytest.raises(UsageError, match="does not match"):
            adopt_all(slim, labels=str(tmp_path / "labels"))

    def test_adopt_folder_with_converted_dataset_raises_output_error(self, tmp_path: Path) -> None:
        from records.storage import open_storage
        from tests.datasets import DatasetBuilder, make_sources

        DatasetBuilder(open_storage(tmp_path)).build({"train": [make_sources(3)]})
        with pytest.raises(OutputError, match="not made of these files"):
            adopt_all(tmp_path)


def test_adopt_dataset_loads_in_tfds_with_same_labels(slim: Path) -> None:
    import tensorflow_datasets as tfds

    adopt_all(slim)
    builder = tfds.builder_from_directory(str(slim))
    labels = [int(example["image/class/label"]) for example in builder.as_dataset(split="train")]
    assert labels == [number % 3 for number in range(12)]


def test_adopt_dataset_yields_same_training_batches_as_records(tmp_path: Path) -> None:
    """Files of TFDS, made-up keys and a record left out: what a model is fed, and told apart by."""
    from records.images import decode_record_image
    from trainers.config import ImageShape
    from trainers.input.pipeline import ShardSourceWithKeys, ordered_batches
    from trainers.input.selection import select_split

    examples = [tfds_example(number) for number in range(7)]
    examples[2]["label"] = []
    write_examples(tmp_path / "a-train.tfrecord-00000-of-00001", examples)
    (tmp_path / "label.labels.txt").write_text("daisy\nrose\ntulip\n")
    adopt_all(tmp_path)
    dataset = records.open_dataset(tmp_path)
    source = ShardSourceWithKeys.from_dataset(dataset, ImageShape(9, 12, 3))
    batches = ordered_batches(source, select_split(dataset, "train"), 4).as_numpy_iterator()
    read = [
        (pixels.tobytes(), int(label), key.decode())
        for images, (labels, keys) in batches
        for pixels, label, key in zip(images, labels, keys, strict=True)
    ]
    assert read == [
        (
            decode_record_image(r.image, r.format, r.width, r.height, r.channels).tobytes(),
            r.label,
            r.key,
        )
        for r in dataset["train"]
    ]
    assert len(read) == 6
