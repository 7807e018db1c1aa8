"""Random sequences of edits, appends and compactions, compared with a model."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pipelines.compact import compact
from pipelines.edit import remove
from records import Dataset, open_dataset, verify
from records.errors import UsageError
from records.format.layout import MANIFEST, parse_shard_name
from records.format.manifest import read_manifest
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture

EVERY = pytest.param(range(1, 40), marks=pytest.mark.slow)
STEPS = 9


class Model:
    """The expected records of a dataset: the image, the class and the split of each key."""

    def __init__(self, convert: Convert, source: Path, folder: Path, chance: random.Random) -> None:
        self._convert, self._source, self._folder = convert, source, folder
        self._chance = chance
        self.dataset = folder / "data-0"
        self.records: dict[str, tuple[bytes, str, str]] = {}
        self.removed: set[str] = set()
        self._steps = 0
        self._multi = chance.random() < 0.5
        convert(
            output=str(self.dataset),
            test=0.3,
            shards=chance.randint(1, 4),
            multi_label=self._multi,
        )
        self.records = self.read()

    def read(self) -> dict[str, tuple[bytes, str, str]]:
        return read_records(open_dataset(self.dataset))

    def append(self) -> None:
        """Add images, and perhaps copies and new names of removed ones."""
        self._steps += 1
        added = set()
        for number in range(self._chance.randint(0, 6)):
            key = f"{self._chance.choice(('cat', 'dog'))}/{self._steps}-{number}.png"
            make_file(self._source, key, make_picture(self._chance.randrange(10**9)))
            added.add(key)
        for key in sorted(self.removed):
            if self._chance.random() < 0.2 and (self._source / key).exists():
                copy = f"cat/copy-{self._steps}-{Path(key).name}"
                make_file(self._source, copy, (self._source / key).read_bytes())
        self._convert(output=str(self.dataset), append=True)
        found = self.read()
        assert found.keys() - self.records.keys() == added
        self.records |= {key: found[key] for key in added}

    def remove_keys(self) -> None:
        chosen = self._chance.sample(sorted(self.records), self._chance.randint(1, 4))
        again = self._chance.sample(sorted(self.removed), min(len(self.removed), 2))
        report = remove(str(self.dataset), keys=[*chosen, *again])
        assert (report.removed, report.removed_before) == (len(chosen), len(again))
        self._forget(chosen)

    def remove_where(self) -> None:
        name, part = self._chance.choice(("cat", "dog")), f"{self._chance.randint(0, 9)}.png"
        chosen = [
            key for key, (_, names, _) in self.records.items() if name in names and part in key
        ]
        if self._chance.random() < 0.2:
            part, chosen = "", [key for key, (_, names, _) in self.records.items() if name in names]
        where = f"class == '{name}' and '{part}' in key"
        if len(chosen) == len(self.records):
            with pytest.raises(UsageError):
                remove(str(self.dataset), where=where)
            return
        assert remove(str(self.dataset), where=where).removed == len(chosen)
        self._forget(chosen)

    def _forget(self, keys: list[str]) -> None:
        for key in keys:
            del self.records[key]
        self.removed |= {*keys}

    def compact(self) -> None:
        self._steps += 1
        new = self._folder / f"data-{self._steps}"
        compact(str(self.dataset), str(new))
        images = [(self._source / key).read_bytes() for key in self.removed]
        content = b"".join(content_of(new).values())
        assert not any(image in content for image in images)
        self.dataset = new

    def check(self, *, decode: bool) -> None:
        assert self.read() == self.records
        assert list(verify(self.dataset, decode=decode)) == []
        dataset = open_dataset(self.dataset)
        for split in dataset.values():
            assert [record.key for record in split] == [record.key for record in split[:]]
            names = [parse_shard_name(shard.name) for shard in split.info.shards]
            assert all(name is not None and name.split == split.name for name in names)
        manifest = read_manifest(open_storage(self.dataset))
        stored = sum(each.counts.stored - each.removed for each in manifest.generations)
        assert stored == len(self.records)


def read_records(dataset: Dataset) -> dict[str, tuple[bytes, str, str]]:
    records = [(name, record) for name, split in dataset.items() for record in split]
    assert len({record.key for _, record in records}) == len(records)
    return {
        record.key: (record.image, ",".join(record.class_names), name) for name, record in records
    }


@pytest.mark.parametrize("seeds", [range(1), EVERY])
def test_random_edits_leave_the_records_of_the_model(
    convert: Convert, source: Path, tmp_path: Path, seeds: range
) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        model = Model(convert, source, folder, chance)
        done = set()
        for _ in range(STEPS):
            act = chance.choice((model.append, model.remove_keys, model.remove_where))
            if chance.random() < 0.15:
                act = model.compact
            done.add(act.__name__)
            act()
            model.check(decode=chance.random() < 0.3)
        model.compact()
        model.check(decode=True)
        assert len(done) > 2
        assert (model.dataset / MANIFEST).exists()
