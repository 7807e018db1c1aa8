"""The report of a dataset agrees with its index and its lists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

import shardmill as sm
from records.errors import OutputError, UsageError
from records.format.index import Reject
from records.report import Report
from records.report import images as images_module
from records.report.duplicates import DuplicateKind, choose_of_each_kind
from records.report.sample import MAX_IMAGES, sample_classes
from records.storage import open_storage
from records.text.keys import key_to_single_line
from shardmill.cli import shardmill
from tests.datasets import DatasetBuilder, Source, encode_picture, make_sources
from tests.pipelines.pictures import make_folders
from tests.reports import PageReader

LABELS = ("cat", "<script>alert(1)</script>", "\u05d0\u202egnp")
HOSTILE_KEY = "dog/\u202e<b>" + "x" * 2000 + ".png"


def read(page: Report) -> PageReader:
    return PageReader(page.html)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hostile names, a leak, a duplicate, a conflict, a damaged image and a reject."""
    folder = tmp_path_factory.mktemp("report") / "data"
    one, two, three = map(encode_picture, (900, 901, 902))
    train = [
        *make_sources(12),
        Source(HOSTILE_KEY.encode(), 1, one),
        Source(b"cat/leak.png", 0, two),
        Source(b"cat/copy-1.png", 0, three),
        Source(b"cat/copy-2.png", 0, three),
        Source(b"cat/damaged.png", 0, encode_picture(903)),
    ]
    test = [*make_sources(6, first=20), Source(b"dog/leak.png", 1, two)]
    rejects = (Reject("cat/<bad>.jpg", "cat", "truncated", "the file ends early", 17),)
    builder = DatasetBuilder(
        open_storage(folder), LABELS, rejects=rejects, replaced={b"cat/damaged.png": b"broken"}
    )
    builder.build({"train": [train[:9], train[9:]], "test": [test]})
    return folder


@pytest.fixture(scope="module")
def page(data: Path) -> PageReader:
    return read(sm.report(data))


def test_report_lists_leaks_and_duplicates_with_their_images(page: PageReader) -> None:
    rows = page.part("Identical files")["rows"]
    assert [(page.keys(row[0]), *row[1:4]) for row in rows] == [
        (["dog/leak.png", "cat/leak.png"], "leak and conflict", 2, "train, test"),
        (["cat/copy-1.png", "cat/copy-2.png"], "duplicate", 2, "train"),
    ]


def test_report_counts_classes_and_lists_rejects_with_reasons(data: Path, page: PageReader) -> None:
    classes = page.part("Images by class and split")["rows"]
    stats = sm.stats(data)
    assert [row[2] for row in classes] == stats.class_totals
    (reject,) = page.part("Rejected images")["rows"]
    assert page.keys(reject[0]) == ["cat/<bad>.jpg"]
    assert reject[1:] == ["cat", "truncated", "the file ends early", 17]
    for name in ("overview", "classes", "samples", "sizes", "files", "duplicates", "quality"):
        assert ("section", name) in [(tag, each.get("id")) for tag, each in page.elements]


def test_report_findings_have_the_numbers_of_the_sections_and_links(page: PageReader) -> None:
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert links.count("#duplicates") == 2
    assert links.count("#files") == 2
    assert [
        link for link in links if link and re.fullmatch("#(classes|files|duplicates)_[0-9]+", link)
    ]
    for text in (
        "1: truncated (1)",
        "2 groups, 1 in more than one split (leaks), 1 with more than one label (conflicts)",
        "not measured",
        "shardmill label-errors",
        "shardmill train",
    ):
        assert text in page.text


def test_report_samples_every_image_of_a_small_dataset_and_names_the_damaged_one(
    data: Path, page: PageReader
) -> None:
    shown = page.part("Samples of the classes")["images"]
    keys = page.keys(shown)
    records = [record for split in sm.open_dataset(data).values() for record in split]
    assert sorted(keys) == sorted(key_to_single_line(record.key) for record in records)
    images = [page.data["images"][number] for number in shown]
    without = [image["key"] for image in images if "picture" not in image]
    assert without == ["cat/damaged.png"]
    assert all(
        image["picture"].startswith("data:image/") for image in images if "error" not in image
    )
    assert max(len(image["key"]) for image in images) <= 120


def test_report_is_the_same_for_the_same_dataset(data: Path, page: PageReader) -> None:
    assert read(sm.report(str(data))).data == page.data


def test_duplicates_beyond_the_limit_have_some_of_each_kind() -> None:
    kinds = [DuplicateKind(leak, conflict) for leak in (True, False) for conflict in (True, False)]
    for counts in ((9, 9, 9, 9), (0, 50, 2, 1), (0, 0, 0, 20), (1, 1, 1, 1), (0, 0, 0, 0)):
        found = [
            (kind, place)
            for kind, count in zip(kinds, counts, strict=True)
            for place in range(count)
        ]
        chosen = choose_of_each_kind(found[::-1], lambda each: each[0], 6)
        assert len(chosen) == min(6, len(found))
        assert {kind for kind, _ in chosen} == {kind for kind, _ in found}
        assert [kind for kind, _ in chosen] == sorted((k for k, _ in chosen), reverse=True)
        assert len({*chosen}) == len(chosen)


@pytest.mark.slow
def test_report_measurements_are_shown_only_if_they_are_saved(tmp_path: Path) -> None:
    output = tmp_path / "data"
    sm.convert(make_folders(tmp_path / "source", cat=4, dog=3), output)
    titles = [part["title"] for part in read(sm.report(output)).data["parts"]]
    assert "Issues" not in titles
    assert not (output / "quality").exists()
    measured = read(sm.report(output, measure=True))
    assert measured.part("Issues")["rows"]
    assert "groups of near-duplicates" in measured.text
    assert (output / "quality").is_dir()
    assert read(sm.report(output)).part("Issues") == measured.part("Issues")


def test_report_pictures_and_long_keys_beyond_the_limits_are_left_out(
    data: Path, page: PageReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, "MAX_PICTURE_BYTES", 2000)
    monkeypatch.setattr(images_module, "MAX_KEY_CHARACTERS", 100)
    report = sm.report(data)
    found = read(report).data["images"]
    pictures = [image["picture"] for image in found if "picture" in image]
    assert report.pictures == len(pictures) < len(page.data["images"])
    assert sum(map(len, pictures)) <= 2000
    (long,) = (image for image in found if "u202e" in image["key"])
    assert long["line"] == ""


def test_sample_depends_on_the_keys_and_not_on_their_order() -> None:
    keys = [f"{number % 7}/{number}.png" for number in range(3000)]
    labels = [number % 7 for number in range(3000)]

    def sample(order: list[int]) -> set[str]:
        rows = pa.table(
            {
                "key": [keys[number] for number in order],
                "label": pa.array([labels[number] for number in order], pa.int32()),
            }
        )
        return {keys[order[row]] for row in sample_classes(rows)}

    forwards = sample(list(range(3000)))
    assert forwards == sample(list(range(2999, -1, -1)))
    assert len(forwards) == 7 * (MAX_IMAGES // 7)


def test_sample_of_many_classes_is_spread_over_the_label_map() -> None:
    rows = pa.table(
        {"key": [f"{n}" for n in range(10_000)], "label": pa.array(range(10_000), pa.int32())}
    )
    chosen = sample_classes(rows)
    assert len(chosen) == MAX_IMAGES
    assert max(chosen) > 9900
    assert sample_classes(rows.slice(0, 0)) == []


def test_report_command_writes_a_new_page_and_prints_its_size(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    result = CliRunner().invoke(
        shardmill, ["report", str(data), "-o", str(output), "--json"], catch_exceptions=False
    )
    found = json.loads(result.stdout)
    before = output.read_bytes()
    assert found["bytes"] == len(before)
    assert found["report"] == str(output)
    assert found["sections"][:2] == ["findings", "overview"]
    with pytest.raises(OutputError, match="already exists"):
        sm.report(data, output=output)
    assert output.read_bytes() == before


def test_report_output_is_inside_the_dataset_or_not_html_is_refused(data: Path) -> None:
    with pytest.raises(UsageError, match="inside the dataset"):
        sm.report(data, output=data / "report.html")
    with pytest.raises(UsageError, match=r"written as HTML.*\.html"):
        CliRunner().invoke(shardmill, ["report", str(data), "-o", "x.txt"], catch_exceptions=False)


def test_report_at_a_url_is_written_and_a_notebook_shows_it_in_a_frame(data: Path) -> None:
    import fsspec

    written = sm.report(data, output="memory://reports/one.html")
    assert fsspec.filesystem("memory").cat("/reports/one.html") == written.encode()
    ((tag, attributes),) = PageReader(written._repr_html_()).elements
    assert tag == "iframe"
    assert attributes["sandbox"] == "allow-scripts allow-downloads"
    assert attributes["srcdoc"] == written.html


def test_report_of_a_dataset_without_images_has_all_sections(tmp_path: Path) -> None:
    DatasetBuilder(open_storage(tmp_path / "data")).build({"train": [[]]})
    assert len(sm.report(tmp_path / "data").sections) == 12
