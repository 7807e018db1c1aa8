"""Names of generations."""

from __future__ import annotations

from pathlib import Path

import pytest

from records.generations import split_generation


@pytest.mark.parametrize(
    ("location", "folder", "generation"),
    [
        ("data", "data", None),
        ("data@3", "data", 3),
        ("data@3/", "data", 3),
        ("./@12", "./", 12),
        ("a@b@3", "a@b", 3),
        ("data@007", "data", 7),
        ("data@", "data@", None),
        ("@3", "@3", None),
        ("data@x", "data@x", None),
        ("data@-1", "data@-1", None),
        ("data@3/shard", "data@3/shard", None),
        ("data@٣", "data@٣", None),
        ("data@1234567890", "data@1234567890", None),
        ("memory://bucket/data@3", "memory://bucket/data", 3),
        ("memory://user@3", "memory://user@3", None),
    ],
)
def test_location_is_split_at_the_number_of_its_last_part(
    location: str, folder: str, generation: int | None
) -> None:
    assert split_generation(location) == (folder, generation)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_existing_file_or_folder_of_this_name_is_no_generation(
    tmp_path: Path, make: object
) -> None:
    path = tmp_path / "data@3"
    assert split_generation(path) == (f"{tmp_path}/data", 3)
    make(path)  # type: ignore[operator]
    assert split_generation(path) == (str(path), None)
