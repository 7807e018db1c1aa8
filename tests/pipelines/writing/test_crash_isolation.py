from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines import run_state
from pipelines.writing import shard
from pipelines.writing.crash_isolation import SubprocessNormalizer
from records.dataset import open_dataset
from records.errors import StorageError
from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection, normalize_image
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import PICTURE, make_file, make_picture

DEADLY = make_picture(666)
SHARD = "train-00000-of-00001.tfrecord"
SECOND = "train-00001-of-00003.tfrecord"


def crash_on_deadly(data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
    """A decoder with a fault that takes its process with it."""
    if data == DEADLY:
        os.abort()
    return normalize_image(data, options)


def test_subprocess_normalizer_decoder_crash_becomes_rejection() -> None:
    with SubprocessNormalizer(60, crash_on_deadly) as store:
        outcomes = [store(data, ImageOptions()) for data in (PICTURE, DEADLY, PICTURE)]
    assert isinstance(outcomes[0], NormalizedImage)
    assert outcomes[1] == Rejection("corrupt", "the decoder crashed on it, twice")
    assert outcomes[2] == outcomes[0]


def test_subprocess_normalizer_any_image_gives_same_result_as_in_process() -> None:
    for data in (PICTURE, make_picture(kind="GIF"), PICTURE[:50], b""):
        with SubprocessNormalizer(60) as store:
            assert store(data, ImageOptions()) == normalize_image(data, ImageOptions())


def hang_on_deadly(data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
    """A decoder that does not end."""
    while data == DEADLY:
        pass
    return normalize_image(data, options)


def wait_on_deadly(data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
    """A decoder that waits for ever."""
    if data == DEADLY:
        threading.Event().wait()
    return normalize_image(data, options)


def test_subprocess_normalizer_decoder_over_time_limit_becomes_rejection() -> None:
    with SubprocessNormalizer(1, hang_on_deadly) as store:
        outcomes = [store(data, ImageOptions()) for data in (PICTURE, DEADLY, PICTURE)]
    assert outcomes[1] == Rejection("too-slow", "decoding takes over --image-timeout 1 s")
    assert outcomes[2] == outcomes[0] == normalize_image(PICTURE, ImageOptions())


@pytest.mark.slow
def test_subprocess_normalizer_decoder_that_waits_becomes_rejection() -> None:
    with SubprocessNormalizer(1, wait_on_deadly) as store:
        rejection = store(DEADLY, ImageOptions())
    assert rejection == Rejection("too-slow", "decoding takes over --image-timeout 1 s")


@pytest.mark.parametrize("check", ["decode", pytest.param("header", marks=pytest.mark.slow)])
def test_convert_decoder_over_time_limit_rejects_that_image_alone(
    check: Any, convert: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = convert(images=ImageOptions(check=check))
    make_file(source, "cat/deadly.png", DEADLY)
    ended = threading.Event()

    def hang(data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
        if data == DEADLY:
            ended.wait()
        return normalize_image(data, options)

    monkeypatch.setattr("pipelines.writing.shard.normalize_image", hang)
    monkeypatch.setattr(
        "pipelines.writing.shard.SubprocessNormalizer",
        type("Hanging", (SubprocessNormalizer,), {"__init__": _with_hangs}),
    )
    other = output.with_name("other")
    report = convert(output=str(other), images=ImageOptions(check=check), image_timeout=1)
    ended.set()
    assert report.rejects_by_reason == {"too-slow": 1}
    assert (output / SHARD).read_bytes() == (other / SHARD).read_bytes()
    assert expected.rejects_by_reason == {}


def _with_hangs(self: SubprocessNormalizer, timeout_s: int) -> None:
    SubprocessNormalizer.__init__(self, timeout_s, hang_on_deadly)


def test_convert_shard_of_crashed_worker_is_decoded_in_subprocess(
    convert: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(source, "cat/deadly.png", DEADLY)
    monkeypatch.setattr(
        "pipelines.writing.shard.SubprocessNormalizer",
        type("Crashing", (SubprocessNormalizer,), {"__init__": _with_crashes}),
    )
    real = run_state.write_run

    def die_first(*given: object, **named: object) -> None:
        real(*given, **named)  # type: ignore[arg-type]
        run_state.mark_started(open_storage(output), SHARD)

    monkeypatch.setattr(run_state, "write_run", die_first)
    report = convert()
    assert report.rejects_by_reason == {"corrupt": 1}
    keys = {record.key for record in open_dataset(output)["train"]}
    assert len(keys) == 21
    assert "cat/deadly.png" not in keys


def _with_crashes(self: SubprocessNormalizer, timeout_s: int) -> None:
    SubprocessNormalizer.__init__(self, timeout_s, crash_on_deadly)


_WORKER = """
import sys, time
from pipelines.writing import shard
from pipelines.writing.crash_isolation import SubprocessNormalizer
from records.format.image_options import ImageOptions

if __name__ == "__main__":
    with SubprocessNormalizer(60) as store:
        store(b"", ImageOptions())
        print(store.process_id, flush=True)
        time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_subprocess_normalizer_parent_killed_ends_child_process(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(_WORKER)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        helper = Path("/proc") / process.stdout.readline().strip()
        assert helper.exists()
        process.kill()
    end = time.monotonic() + 20
    while helper.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not helper.exists()


@pytest.mark.parametrize("dies", [True, False])
def test_convert_to_a_store_isolates_the_first_unfinished_shard_of_a_dead_run(
    convert: Convert, memory: Any, monkeypatch: pytest.MonkeyPatch, *, dies: bool
) -> None:
    isolated: list[str] = []
    real = shard.convert_images

    def stop(job: Any, plan: Any, *rest: Any) -> bytes:
        if plan.name == SECOND:
            raise StorageError("connection reset")
        return real(job, plan, *rest)

    def count(job: Any, plan: Any, output: Any, normalize: Any, *rest: Any) -> bytes:
        if isinstance(normalize, SubprocessNormalizer):
            isolated.append(plan.name)
        return real(job, plan, output, normalize, *rest)

    output = "memory://data"
    with monkeypatch.context() as patch:
        patch.setattr(shard, "convert_images", stop)
        if dies:  # a killed process writes nothing more
            patch.setattr("pipelines.convert.forget_order", lambda _: None)
        with pytest.raises(StorageError):
            convert(output=output, shards=3)
    monkeypatch.setattr(shard, "convert_images", count)
    report = convert(output=output, shards=3)
    assert (report.shards_kept, isolated) == (1, [SECOND] if dies else [])
    assert len(open_dataset(output)["train"]) == 21
