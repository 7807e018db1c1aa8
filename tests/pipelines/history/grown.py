"""Datasets that grow by generations, and a model of their records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from pipelines.report import Report
from records import Dataset, open_dataset
from tests.pipelines.pictures import CORRUPT, make_file, make_picture


@dataclass
class Grown:
    """A dataset, its source, and the keys that each generation must have."""

    source: Path
    location: str
    keys: dict[int, frozenset[str]] = field(default_factory=dict)

    def append(self, keys: list[str], **options: object) -> Report:
        """Add pictures to the source, and append them; keep the keys of the new generation."""
        for key in keys:
            content = CORRUPT if "bad" in key else make_picture(crc32(key.encode()))
            make_file(self.source, key, content)
        given: dict[str, Any] = {"test": 0.3, "seed": 1, "max_rejects": 99, "workers": 1, **options}
        report = convert(
            ConvertOptions(
                source=str(self.source), output=self.location, append=True,
                allow_new_classes=True, **given,
            )
        )  # fmt: skip
        stored = frozenset(key for key in keys if "bad" not in key)
        self.keys[report.generation] = self.keys.get(self.present, frozenset()) | stored
        return report

    @property
    def present(self) -> int:
        """The number of the newest generation, 0 if there is none."""
        return max(self.keys, default=0)

    def at(self, generation: int) -> str:
        """Return the location of a generation."""
        return f"{self.location}@{generation}"

    def grow(self, generations: int) -> None:
        """Append generations of a few pictures, some with a new class or rejects."""
        for _ in range(generations):
            number = self.present + 1
            keys = [f"cat/{number}-{i}.png" for i in range(3)] + [f"dog/{number}.png"]
            if number % 3 == 0:
                keys += [f"bird{number}/{i}.png" for i in range(2)]
            if number % 2 == 0:
                keys.append(f"dog/bad{number}.png")
                make_file(self.source, f"dog/note{number}.txt", b"text")
            self.append(keys)


def keys_of(dataset: Dataset) -> frozenset[str]:
    """Return the keys of all records."""
    return frozenset(record.key for records in dataset.values() for record in records)


def keys_at(location: str) -> frozenset[str]:
    """Return the keys of all records of a dataset or a generation."""
    return keys_of(open_dataset(location))
