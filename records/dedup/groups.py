"""Images that are the same picture, though perhaps not the same file.

near       two images that are the same picture resized, encoded otherwise or slightly cropped
near leak  such images in two splits: a model is tested on what it was trained on
group      images that hang together by such pairs, a conflict where they have two labels

Being near is not passed on: of three frames of a film the first and the last may be no pair. So it
is by pairs that images are left out. What is held out comes first, and in a split the first by key:
an image stays where none that it is a pair with has stayed.

Pictures and who is near whom, by nodes: pictures of the same hashes are one node.

A picture that is there ten thousand times, as "no photo available" may be, is one node and not
fifty million pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from records.dedup.hamming_search import BITS_APART, SMALL_BITS_APART, find_pairs
from records.dedup.hash_cache import STATES, Hashes
from records.format.layout import SPLITS, SplitName
from records.stats.duplicates import KEPT_FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    _Placed = tuple["NearImage", int]


_SMALL_PX = 64


class NearImage(msgspec.Struct, frozen=True):
    """An image: its key, class and split, and its number among the rows."""

    key: str
    label: int
    split: SplitName
    row: int


class NearPair(msgspec.Struct, frozen=True):
    """Two images that are the same picture.

    Attributes:
        kept: the one to keep, of test before validation before train.
        other: the one to leave out.
        bits_apart: by how many of 144 bits their hashes differ.
        group: the number of their group, from 0.
    """

    kept: NearImage
    other: NearImage
    bits_apart: int
    group: int

    @property
    def is_leak(self) -> bool:
        """Whether they lie in two splits."""
        return self.kept.split != self.other.split


class NearDuplicates(msgspec.Struct, frozen=True):
    """Images that are the same picture as another, copies of a file among them.

    Attributes:
        compared: images that were compared.
        flat: images of all but one colour, which were not.
        undecodable: images that do not decode, which were not either.
        groups: sets of images that hang together.
        leak_groups: those in more than one split.
        conflict_groups: those with more than one label.
        pairs: every image that is to be left out, or is in another split than a better one, beside
            an image that it is near: leaks first, then those least apart.
        keys: the images to leave out so that no two are near.
        leak_keys: the images to leave out so that no two of different splits are.
    """

    compared: int
    flat: int
    undecodable: int
    groups: int
    leak_groups: int
    conflict_groups: int
    pairs: tuple[NearPair, ...]
    keys: tuple[str, ...]
    leak_keys: tuple[str, ...]


def find_near_duplicates(
    rows: pa.Table,
    hashes: Hashes,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> NearDuplicates:
    """The near-duplicates of a dataset.

    Args:
        rows: columns `key`, `label`, `width`, `height`, and `split` as a place in `SPLITS`.
        hashes: of the rows.
        on_progress: told how many parts of the search are done, and of how many.
    """
    compared = np.flatnonzero(hashes.states == STATES.index("hashed"))
    graph = NeighbourGraph(hashes.words[compared], _max_distance(rows)[compared], on_progress)
    images = _take_images(rows, compared, graph)
    groups = _number_groups(graph, images)
    members: dict[int, list[NearImage]] = {}
    for image, node in images:
        members.setdefault(groups[node], []).append(image)
    left_out = list(_leave_out(graph, images, groups))
    leaks = list(_find_leaks(graph, images, groups))
    states = np.bincount(hashes.states, minlength=len(STATES)).tolist()
    return NearDuplicates(
        compared=states[STATES.index("hashed")],
        flat=states[STATES.index("flat")],
        undecodable=states[STATES.index("undecodable")],
        groups=len(members),
        leak_groups=sum(len({image.split for image in group}) > 1 for group in members.values()),
        conflict_groups=sum(
            len({image.label for image in group}) > 1 for group in members.values()
        ),
        pairs=_list_pairs(leaks, left_out),
        keys=_keys_of(left_out),
        leak_keys=_keys_of(leaks),
    )


def _max_distance(rows: pa.Table) -> NDArray[np.uint8]:
    """The most bits that each image may be apart from another, by its shorter side."""
    shorter_px = np.minimum(rows["width"].to_numpy(), rows["height"].to_numpy())
    apart: NDArray[np.uint8] = np.where(shorter_px < _SMALL_PX, SMALL_BITS_APART, BITS_APART)
    return apart.astype(np.uint8)


def _take_images(
    rows: pa.Table, compared: NDArray[np.int64], graph: NeighbourGraph
) -> list[_Placed]:
    """The images that are near another, with their nodes, the first to keep first."""
    paired = graph.paired()
    found = rows.select(["key", "label", "split"]).take(compared[paired])
    columns = (found[name].to_pylist() for name in ("key", "label", "split"))
    images = [
        NearImage(key, label, SPLITS[split], row)
        for key, label, split, row in zip(*columns, compared[paired].tolist(), strict=True)
    ]
    placed = zip(images, graph.node_of[paired].tolist(), strict=True)
    return sorted(placed, key=lambda item: (_rank(item[0]), item[0].key))


def _rank(image: NearImage) -> int:
    return KEPT_FIRST.index(image.split)


def _number_groups(graph: NeighbourGraph, images: list[_Placed]) -> dict[int, int]:
    """The number of each node's group, in the order of the images."""
    numbers: dict[int, int] = {}
    groups = 0
    for _, node in images:
        if node not in numbers:
            numbers.update(dict.fromkeys(graph.group_of(node), groups))
            groups += 1
    return numbers


def _leave_out(
    graph: NeighbourGraph, images: list[_Placed], groups: dict[int, int]
) -> Iterator[NearPair]:
    """Each image that is near one that stays, beside it."""
    stays: dict[int, tuple[NearImage, int]] = {}
    for image, node in images:
        if node in stays:
            kept, bits_apart = stays[node]
            yield NearPair(kept, image, bits_apart, groups[node])
        else:
            for near, bits_apart in graph.neighbours(node):
                stays.setdefault(near, (image, bits_apart))


def _find_leaks(
    graph: NeighbourGraph, images: list[_Placed], groups: dict[int, int]
) -> Iterator[NearPair]:
    """Each image that is near one of a split that is kept before its own, beside it."""
    first: dict[int, NearImage] = {}
    for image, node in images:
        first.setdefault(node, image)
    for image, node in images:
        near = [(first[other], bits_apart) for other, bits_apart in graph.neighbours(node)]
        best, bits_apart = min(near, key=lambda item: (_rank(item[0]), item[1], item[0].key))
        if _rank(best) < _rank(image):
            yield NearPair(best, image, bits_apart, groups[node])


def _list_pairs(leaks: list[NearPair], left_out: list[NearPair]) -> tuple[NearPair, ...]:
    leaking = {pair.other.row for pair in leaks}
    others = [pair for pair in left_out if pair.other.row not in leaking]
    return tuple(
        pair
        for pairs in (leaks, others)
        for pair in sorted(pairs, key=lambda pair: (pair.bits_apart, pair.group, pair.other.key))
    )


def _keys_of(pairs: list[NearPair]) -> tuple[str, ...]:
    return tuple(sorted(pair.other.key for pair in pairs))


class Neighbour(NamedTuple):
    """A node, and how many bits it is apart."""

    node: int
    bits_apart: int


class NeighbourGraph:
    """Nodes of pictures, and edges between near ones.

    Args:
        hashes: of the pictures, of shape (pictures, windows, words).
        most_apart: the most bits that each picture may be apart from another.
        on_progress: see `find_pairs`.
    """

    def __init__(
        self,
        hashes: NDArray[np.uint64],
        most_apart: NDArray[np.uint8],
        on_progress: Callable[[int, int], None],
    ) -> None:
        flat = hashes.reshape(len(hashes), hashes.shape[1] * hashes.shape[2])
        whole = np.ascontiguousarray(flat).view(np.dtype((np.void, 8 * flat.shape[1]))).ravel()
        _, firsts, self.node_of = np.unique(whole, return_index=True, return_inverse=True)
        self._pictures = np.bincount(self.node_of, minlength=len(firsts))
        limits = np.full(len(firsts), np.iinfo(np.uint8).max, np.uint8)
        np.minimum.at(limits, self.node_of, most_apart)
        pairs = find_pairs(hashes[firsts], limits, on_progress)
        one, other = np.r_[pairs.first, pairs.second], np.r_[pairs.second, pairs.first]
        order = np.lexsort((other, one))
        self._others = other[order]
        self._bits_apart = np.r_[pairs.bits_apart, pairs.bits_apart][order]
        self._ends = np.bincount(one, minlength=len(firsts)).cumsum()

    def neighbours(self, node: int) -> list[Neighbour]:
        """The near nodes, itself first."""
        edges = slice(self._ends[node - 1] if node else 0, self._ends[node])
        others, apart = self._others[edges].tolist(), self._bits_apart[edges].tolist()
        return [Neighbour(node, 0), *map(Neighbour, others, apart)]

    def group_of(self, node: int) -> list[int]:
        """The nodes that hang together with one, itself first."""
        found = {node: None}
        waiting = [node]
        while waiting:
            new = [near for near, _ in self.neighbours(waiting.pop()) if near not in found]
            found.update(dict.fromkeys(new))
            waiting += new
        return list(found)

    def paired(self) -> NDArray[np.int64]:
        """The places of the pictures that are near another one."""
        edges = np.diff(self._ends, prepend=0)
        return np.flatnonzero(((edges > 0) | (self._pictures > 1))[self.node_of])
