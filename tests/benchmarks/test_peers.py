"""Completeness of the peers' programs and environments, which tests do not run."""

import ast
from pathlib import Path

import pytest

from benchmarks.harness.environments import PEERS, list_environments, requirements
from benchmarks.harness.settings import FULL, QUICK, TRY, Scale
from benchmarks.page.page import fill
from benchmarks.suites import (
    accelerators,
    access,
    conversion,
    jpeg_decoders,
    large_photos,
    reading,
)

ROOT = Path(__file__).parents[2]
_PEERS = [*conversion.PEER_WRITERS, conversion.PILLOW_DECODER, *reading.PEERS, *access.READERS]
_PEERS += [*large_photos.PEERS, *jpeg_decoders.PIECES]


@pytest.mark.parametrize("path", sorted(PEERS.rglob("*.py")), ids=lambda path: path.stem)
def test_peer_program_parses_and_has_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("peer", _PEERS, ids=lambda peer: peer.program)
def test_peer_has_program_and_pinned_packages(peer: conversion.Peer) -> None:
    assert (PEERS / f"{peer.program}.py").is_file()
    for package in peer.packages:
        assert f"{package} {requirements(peer.environment)[package]}" in peer.version()


def test_peer_with_separate_files_has_a_program_that_writes_them() -> None:
    for peer, writer in {**reading.WRITERS, **access.READERS}.items():
        assert (PEERS / f"{writer}.py").is_file(), peer


@pytest.mark.parametrize("scale", [FULL, QUICK, TRY], ids=["full", "quick", "try"])
def test_accelerators_dataset_of_any_scale_has_a_batch(scale: Scale) -> None:
    # Batches are not filled up from the next epoch, so a smaller dataset would have none.
    images = scale.accelerator_files * accelerators.IMAGES_PER_FILE
    assert images >= accelerators.BATCH_SIZE


@pytest.mark.parametrize("name", list_environments())
def test_peer_environment_pins_every_package_without_urls(name: str) -> None:
    lines = (PEERS / f"{name}.txt").read_text().splitlines()
    assert len(requirements(name)) == len(lines)
    assert not [line for line in lines if "://" in line or line.startswith("-")]


def test_pages_have_a_marker_for_every_table() -> None:
    pages = [
        (ROOT / "docs" / name).read_text()
        for name in (
            "explanation/performance.md",
            "how-to/label-errors.md",
            "how-to/prediction.md",
            "how-to/serving.md",
            "how-to/training.md",
        )
    ]
    names = (
        "targets",
        "conversion",
        "reading",
        "jpeg-decoders",
        "remote-reading",
        "raw-shares",
        "accelerators",
        "access",
        "planning",
        "large-plan",
        "linear",
        "large-collection",
        "large-photos",
        "prediction",
        "serving",
        "near-duplicates",
        "environment",
        "label-errors",
        "label-loop",
        "pointing-game",
        "imbalance",
        "rejection",
        "export-latency",
    )
    filled = fill("\n".join(pages), {name: f"table of {name}" for name in names})
    assert [name for name in names if f"\ntable of {name}\n" not in filled] == []
