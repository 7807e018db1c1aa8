"""A walk through an untrusted HDF5 file, in linear time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import h5py

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_DEPTH = 64
"""Groups in groups; Keras nests one model in another a few times."""
_CHUNK_BYTES = 1 << 20
"""The size of a chunk that may be larger than its array: h5py chooses at most 1 MiB."""


def walk_groups(file: h5py.File) -> Iterator[h5py.Group]:
    """Yield each group of a file once, the root first, then its groups in the order of their names.

    Each group is opened from its parent: the path of a deeply nested group would be longer and
    longer.

    Raises:
        ValueError: the file contains links or external data, groups are nested too deeply, or an
            array has much larger chunks, which are read as a whole.
    """
    seen = {_address(file)}
    waiting: list[tuple[h5py.Group, tuple[str, ...]]] = [(file, ())]
    while waiting:
        group, path = waiting.pop()
        if len(path) > _MAX_DEPTH:
            raise ValueError(f"groups are nested more than {_MAX_DEPTH} deep")
        yield group
        for name in reversed(list(group)):
            item = _open(group, name)
            if item is None:
                raise ValueError(f"{'/'.join((*path, name))} refers to other data")
            if isinstance(item, h5py.Dataset) and _has_large_chunks(item):
                raise ValueError(f"{'/'.join((*path, name))} has chunks larger than the array")
            if isinstance(item, h5py.Group) and _address(item) not in seen:
                seen.add(_address(item))
                waiting.append((item, (*path, name)))


def _open(group: h5py.Group, name: str) -> object | None:
    """Return an object of a group; None for a link, and for a dataset that is in another file."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    item = group[name]
    is_external = isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)
    return None if is_external else item


def _has_large_chunks(array: h5py.Dataset) -> bool:
    if array.chunks is None:
        return False
    item_bytes: int = array.id.get_type().get_size()
    chunk_bytes = math.prod(array.chunks) * item_bytes
    return bool(chunk_bytes > max(_CHUNK_BYTES, math.prod(array.shape) * item_bytes))


def _address(group: h5py.Group) -> int:
    """Return the place of a group in its file: hard links give one group any number of names."""
    return int(h5py.h5o.get_info(group.id).addr)
