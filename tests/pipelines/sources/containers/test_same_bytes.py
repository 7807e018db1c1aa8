"""Each form of container gives the bytes that the folder gives, on any road."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.writing import shard
from records.errors import StorageError
from tests.pipelines.conftest import Convert, rejects_of
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture
from tests.pipelines.sources.containers.forms import FORMS, files_of, tar_bytes, zip_bytes

OPTIONS: dict[str, Any] = {"test": 0.3, "shards": 3}
LONG = "dog/" + 80 * "x" + "/" + 80 * "y" + ".png"


class StoppedError(Exception):
    pass


WITH_TOP_FOLDER = {
    "zip-with-prefix",
    "tar-pax",
    "tar-gnu",
    "tar-ustar",
    "tar-of-command",
    "tgz-of-two-streams",
}
IN_A_FOLDER = {"folder-of-containers", "mds", "parquet", "tfrecord", "tfrecord-gz"}
each_form = pytest.mark.parametrize("form", FORMS)


@dataclass
class Scene:
    """A folder of pictures, what its conversion gives, and a place for containers.

    Attributes:
        convert: converts a container into `output`.
        photos: the folder, with a name of over 100 bytes, one beyond ASCII, and a corrupt image.
        expected: the files of the conversion of the folder.
        place: an empty folder for containers.
        output: the output of the conversion of a container.
    """

    convert: Convert
    photos: Path
    expected: dict[str, bytes]
    place: Path
    output: Path

    def make(self, form: str) -> str:
        """Write the photos in a form, and return the source."""
        return f"{self.place}/{FORMS[form](self.photos, self.place)}"

    def touch(self) -> None:
        """Change the times of all containers."""
        for path in (path for path in self.place.rglob("*") if path.is_file()):
            os.utime(path, (1, 1))


@pytest.fixture
def scene(convert: Convert, source: Path, output: Path, tmp_path: Path) -> Scene:
    make_file(source, LONG, make_picture(1))
    make_file(source, "cat/Grüße \N{CAT FACE}.png", make_picture(2))
    make_file(source, "dog/bad.png", CORRUPT)
    make_file(source, "dog/odd.gif", make_picture(5, kind="GIF"))
    convert(**OPTIONS, output=str(tmp_path / "expected"))
    (tmp_path / "forms").mkdir()
    return Scene(convert, source, content_of(tmp_path / "expected"), tmp_path / "forms", output)


@each_form
def test_convert_container_gives_bytes_of_folder(scene: Scene, form: str) -> None:
    scene.convert(**OPTIONS, source=scene.make(form))
    assert content_of(scene.output) == scene.expected
    assert rejects_of(scene.output) == {"dog/bad.png": "corrupt"}


@pytest.mark.parametrize("form", ["zip-deflated", "tar-in-tar", "tar-gz", "parquet"])
@pytest.mark.parametrize(
    "options",
    [
        {"processes": 2},
        {"workers": 4},
        {"beam_flags": ("--direct_running_mode=multi_threading", "--direct_num_workers=2")},
    ],
    ids=["processes", "threads", "beam"],
)
def test_convert_container_with_any_runner_gives_bytes_of_folder(
    scene: Scene, form: str, options: dict[str, Any]
) -> None:
    scene.convert(**OPTIONS, **options, source=scene.make(form))
    assert content_of(scene.output) == scene.expected


@each_form
def test_convert_container_at_url_gives_bytes_of_folder(
    scene: Scene, memory: Any, form: str
) -> None:
    source = scene.make(form).removeprefix(f"{scene.place}/")
    for name, content in content_of(scene.place).items():
        memory.pipe_file(f"/forms/{name}", content)
    scene.convert(**OPTIONS, source=f"memory://forms/{source}")
    assert content_of(scene.output) == scene.expected


@each_form
def test_convert_container_stopped_and_touched_resumes(
    scene: Scene, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = scene.make(form)
    write, names = shard.convert_images, list[str]()

    def stopping(job: Any, plan: Any, *rest: Any) -> None:
        names.append(plan.name)
        if len(names) == 3:
            raise StoppedError
        write(job, plan, *rest)

    monkeypatch.setattr(shard, "convert_images", stopping)
    with pytest.raises(StoppedError):
        scene.convert(**OPTIONS, source=source, processes=1)
    monkeypatch.undo()
    scene.touch()
    report = scene.convert(**OPTIONS, source=source)
    assert report.shards_kept >= 1
    assert content_of(scene.output) == scene.expected


@each_form
def test_convert_finished_container_is_recognized(scene: Scene, form: str) -> None:
    source = scene.make(form)
    scene.convert(**OPTIONS, source=source)
    assert scene.convert(**OPTIONS, source=source).status == "nothing-to-do"
    scene.touch()
    assert scene.convert(**OPTIONS, source=source).status == "nothing-to-do"


@pytest.mark.parametrize("make", [zip_bytes, tar_bytes])
def test_convert_append_of_container_adds_new_members_as_folder_does(
    convert: Convert, source: Path, tmp_path: Path, make: Any
) -> None:
    path = tmp_path / f"photos.{'zip' if make is zip_bytes else 'tar'}"
    path.write_bytes(make(files_of(source)))
    for output, from_where in (("a", source), ("b", path)):
        convert(**OPTIONS, output=str(tmp_path / output), source=str(from_where))
    make_file(source, "cat/new.png", make_picture(99))
    path.write_bytes(make(files_of(source)))
    for output, from_where in (("a", source), ("b", path)):
        report = convert(
            **OPTIONS, output=str(tmp_path / output), source=str(from_where), append=True
        )
        assert (report.counts.stored, report.generation) == (1, 2)
    assert content_of(tmp_path / "a") == content_of(tmp_path / "b")


@each_form
def test_convert_list_of_members_gives_bytes_of_folder_and_list(
    scene: Scene, tmp_path: Path, form: str
) -> None:
    """The keys of a list are those of the members, also if they have a common top folder."""
    keys = [key for key, _ in files_of(scene.photos) if key not in {"dog/odd.gif", LONG}]
    rows = [f"{key},{key[:1]}" for key in keys]
    (tmp_path / "labels.csv").write_text("path,label\n" + "\n".join(rows))
    options = {**OPTIONS, "list": str(tmp_path / "labels.csv")}
    scene.convert(**options, output=str(tmp_path / "a"))
    source = scene.make(form) + "/*" * (form in IN_A_FOLDER)
    report = scene.convert(**options, source=source, output=str(tmp_path / "b"))
    assert report.counts.stored == len(keys) - 1
    if form not in WITH_TOP_FOLDER:
        assert content_of(tmp_path / "b") == content_of(tmp_path / "a")


@pytest.mark.parametrize("form", ["zip", "tar-pax", "tar-gz"])
@pytest.mark.parametrize("change", ["append", "replace", "remove"])
def test_convert_container_that_changes_is_one_error_that_names_it(
    scene: Scene, form: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(scene.make(form))
    write = shard.convert_images

    def changing(*arguments: Any) -> None:
        if change == "append":
            with path.open("ab") as stream:
                stream.write(b"x")
        elif change == "replace":
            path.write_bytes(path.read_bytes()[::-1])
            os.utime(path, (1, 1))
        else:
            path.unlink(missing_ok=True)
        write(*arguments)

    monkeypatch.setattr(shard, "convert_images", changing)
    with pytest.raises(StorageError, match="changed or removed after it was listed"):
        scene.convert(**OPTIONS, source=str(path), processes=1)
    assert not (scene.output / "dataset.json").exists()
