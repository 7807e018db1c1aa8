"""Files of a dataset in a bucket."""

from __future__ import annotations

from records.format import layout
from records.storage import Storage
from tests.pipelines.pictures import is_of_dataset


def content_at(target: Storage) -> dict[str, bytes]:
    """Return the files of a dataset, as `content_of` does."""
    return {name: target.read(name) for name in target.list() if is_of_dataset(name)}


def shards_at(target: Storage) -> dict[str, str | None]:
    """Return the ETags of finished shards and indexes, which change if one is rewritten."""
    names = set(target.list())
    done = [name for name in names if layout.parse_shard_name(name)]
    both = [(name, layout.index_name(name)) for name in done if layout.index_name(name) in names]
    infos = {name: target.stat(name) for pair in both for name in pair}
    return {name: found.etag for name, found in infos.items() if found is not None}
