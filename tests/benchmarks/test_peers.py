"""The peers' programs and environments, which `make test` does not run: that all is there."""

import ast
from pathlib import Path

import pytest

from benchmarks import access, conversion, reading
from benchmarks.environments import PEERS, list_environments, requirements
from benchmarks.page import fill

ROOT = Path(__file__).parents[2]
_PEERS = [*conversion.PEER_WRITERS, conversion.PILLOW_DECODER, *reading.PEERS, *access.READERS]


@pytest.mark.parametrize("path", sorted(PEERS.rglob("*.py")), ids=lambda path: path.stem)
def test_program_parses_and_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("peer", _PEERS, ids=lambda peer: peer.program)
def test_peer_has_a_program_and_an_environment(peer: conversion.Peer) -> None:
    assert (PEERS / f"{peer.program}.py").is_file()
    for package in peer.packages:
        assert f"{package} {requirements(peer.environment)[package]}" in peer.version()


@pytest.mark.parametrize("name", list_environments())
def test_every_package_is_pinned_and_no_address_named(name: str) -> None:
    lines = (PEERS / f"{name}.txt").read_text().splitlines()
    assert len(requirements(name)) == len(lines)
    assert not [line for line in lines if "://" in line or line.startswith("-")]


def test_page_has_a_place_for_every_table() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    names = (
        "targets",
        "conversion",
        "reading",
        "access",
        "planning",
        "large-plan",
        "linear",
        "environment",
    )
    filled = fill(page, {name: f"table of {name}" for name in names})
    assert [name for name in names if f"\ntable of {name}\n" not in filled] == []
