"""Groups of near-duplicates, and the images to exclude.

near       two images of the same picture, resized, re-encoded or slightly cropped
near leak  near images in two splits: the model is tested on training images
group      images connected by pairs of near images; a conflict if a group has more than one label

Nearness is not transitive: in a film, each frame may be near the next frame, but the first frame is
not near the last. More than one image of a group may therefore be kept. Images are visited by split
(test, validation, train), and within a split by key: an image is kept if no image near to it has
been kept.

The graph has one node per distinct set of hashes: a picture that occurs ten thousand times, such as
"no photo available", is one node instead of fifty million pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from records.dedup.hamming_search import find_pairs
from records.dedup.hash_cache import STATES, Hashes
from records.dedup.text import format_near
from records.dedup.thresholds import max_distances
from records.format.index import label_lists
from records.format.layout import SPLITS, SplitName
from records.stats.duplicates import SPLIT_PRIORITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    _ImageNode = tuple["NearImage", int]


class NearImage(msgspec.Struct, frozen=True):
    """An image: key, labels, split, and number of its index row.

    `label` is the only label; -1 if the image has none, or several.
    """

    key: str
    label: int
    split: SplitName
    row: int
    labels: tuple[int, ...]


class NearPair(msgspec.Struct, frozen=True):
    """Two images of the same picture.

    Attributes:
        kept: the image to keep: the first by split (test, validation, train), then by key.
        other: the image to exclude.
        hamming_distance: the number of bits, out of 144, that differ between the hashes;
            `bits_apart` in JSON.
        group: the number of the group of both images, from 0.
    """

    kept: NearImage
    other: NearImage
    hamming_distance: int = msgspec.field(name="bits_apart")
    group: int

    @property
    def is_leak(self) -> bool:
        """Return whether the images are in different splits."""
        return self.kept.split != self.other.split


class NearDuplicates(msgspec.Struct, frozen=True):
    """Images of the same picture, including identical files.

    Attributes:
        compared: the number of images that were compared.
        featureless: the number of images that were not compared because they have almost only one
            colour; `flat` in JSON.
        undecodable: the number of images that were not compared because they cannot be decoded.
        groups: the number of groups of images connected by pairs.
        leak_groups: the number of groups in more than one split.
        conflict_groups: the number of groups with more than one label.
        pairs: one pair for each image to exclude: first the leaks, sorted by distance, then all
            other pairs, sorted by distance.
        keys: the keys of the images to exclude so that no two images are near.
        leak_keys: the keys of the images to exclude so that no images in different splits are near.
    """

    compared: int
    featureless: int = msgspec.field(name="flat")
    undecodable: int
    groups: int
    leak_groups: int
    conflict_groups: int
    pairs: tuple[NearPair, ...]
    keys: tuple[str, ...]
    leak_keys: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(format_near(self)).strip()


def group_near_duplicates(
    rows: pa.Table,
    hashes: Hashes,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> NearDuplicates:
    """Return the near-duplicates of hashed images.

    Args:
        rows: a table with the columns `key`, `label`, `width`, `height`, and `split` (the position
            in `SPLITS`).
        hashes: the hashes of the rows.
        on_progress: a callback that receives the number of finished parts of the search, and the
            total number of parts.
    """
    compared = np.flatnonzero(hashes.states == STATES.index("hashed"))
    limits = max_distances(rows["width"].to_numpy(), rows["height"].to_numpy())
    graph = NeighbourGraph(hashes.words[compared], limits[compared], on_progress)
    images = _take_images(rows, compared, graph)
    groups = _number_groups(graph, images)
    members: dict[int, list[NearImage]] = {}
    for image, node in images:
        members.setdefault(groups[node], []).append(image)
    excluded = list(_exclude(graph, images, groups))
    leaks = list(_find_leaks(graph, images, groups))
    states = np.bincount(hashes.states, minlength=len(STATES)).tolist()
    return NearDuplicates(
        compared=states[STATES.index("hashed")],
        featureless=states[STATES.index("flat")],
        undecodable=states[STATES.index("undecodable")],
        groups=len(members),
        leak_groups=sum(len({image.split for image in group}) > 1 for group in members.values()),
        conflict_groups=sum(
            len({image.labels for image in group}) > 1 for group in members.values()
        ),
        pairs=_list_pairs(leaks, excluded),
        keys=_keys_of(excluded),
        leak_keys=_keys_of(leaks),
    )


def _take_images(
    rows: pa.Table, compared: NDArray[np.int64], graph: NeighbourGraph
) -> list[_ImageNode]:
    """Return the images that have a near image, with their nodes, by split priority and key."""
    paired = graph.paired()
    names = [name for name in ("key", "label", "labels", "split") if name in rows.column_names]
    found = rows.select(names).take(compared[paired])
    columns = (found["key"].to_pylist(), label_lists(found), found["split"].to_pylist())
    images = [
        NearImage(key, labels[0] if len(labels) == 1 else -1, SPLITS[split], row, labels)
        for key, labels, split, row in zip(*columns, compared[paired].tolist(), strict=True)
    ]
    images_with_nodes = zip(images, graph.node_of[paired].tolist(), strict=True)
    return sorted(images_with_nodes, key=lambda item: (_rank(item[0]), item[0].key))


def _rank(image: NearImage) -> int:
    return SPLIT_PRIORITY.index(image.split)


def _number_groups(graph: NeighbourGraph, images: list[_ImageNode]) -> dict[int, int]:
    """Return the group of each node, numbered in the order of the images."""
    numbers: dict[int, int] = {}
    groups = 0
    for _, node in images:
        if node not in numbers:
            numbers.update(dict.fromkeys(graph.group_of(node), groups))
            groups += 1
    return numbers


def _exclude(
    graph: NeighbourGraph, images: list[_ImageNode], groups: dict[int, int]
) -> Iterator[NearPair]:
    """Yield a pair for each image that is near a kept image."""
    near_kept: dict[int, tuple[NearImage, int]] = {}
    for image, node in images:
        if node in near_kept:
            kept, distance = near_kept[node]
            yield NearPair(kept, image, distance, groups[node])
        else:
            for neighbour, distance in graph.neighbours(node):
                near_kept.setdefault(neighbour, (image, distance))


def _find_leaks(
    graph: NeighbourGraph, images: list[_ImageNode], groups: dict[int, int]
) -> Iterator[NearPair]:
    """Yield a pair for each image that is near an image in a split with higher priority."""
    first: dict[int, NearImage] = {}
    for image, node in images:
        first.setdefault(node, image)
    for image, node in images:
        near = [(first[other], distance) for other, distance in graph.neighbours(node)]
        best, distance = min(near, key=lambda item: (_rank(item[0]), item[1], item[0].key))
        if _rank(best) < _rank(image):
            yield NearPair(best, image, distance, groups[node])


def _list_pairs(leaks: list[NearPair], excluded: list[NearPair]) -> tuple[NearPair, ...]:
    leaking = {pair.other.row for pair in leaks}
    others = [pair for pair in excluded if pair.other.row not in leaking]
    return tuple(
        pair
        for pairs in (leaks, others)
        for pair in sorted(
            pairs, key=lambda pair: (pair.hamming_distance, pair.group, pair.other.key)
        )
    )


def _keys_of(pairs: list[NearPair]) -> tuple[str, ...]:
    return tuple(sorted(pair.other.key for pair in pairs))


class Neighbour(NamedTuple):
    """A node near to a given node, and the Hamming distance between the two."""

    node: int
    hamming_distance: int


class NeighbourGraph:
    """Graph of pictures: one node per distinct set of hashes, edges between near nodes.

    Args:
        hashes: the hashes of the pictures, of shape (pictures, windows, words).
        max_distance: the maximum distance, in bits, of each picture to a picture near to it.
        on_progress: a callback, as in `find_pairs`.
    """

    def __init__(
        self,
        hashes: NDArray[np.uint64],
        max_distance: NDArray[np.uint8],
        on_progress: Callable[[int, int], None],
    ) -> None:
        words = hashes.reshape(len(hashes), hashes.shape[1] * hashes.shape[2])
        as_bytes = np.ascontiguousarray(words).view(np.dtype((np.void, 8 * words.shape[1])))
        _, firsts, self.node_of = np.unique(
            as_bytes.ravel(), return_index=True, return_inverse=True
        )
        self._pictures = np.bincount(self.node_of, minlength=len(firsts))
        limits = np.full(len(firsts), np.iinfo(np.uint8).max, np.uint8)
        np.minimum.at(limits, self.node_of, max_distance)
        pairs = find_pairs(hashes[firsts], limits, on_progress)
        one, other = np.r_[pairs.first, pairs.second], np.r_[pairs.second, pairs.first]
        order = np.lexsort((other, one))
        self._others = other[order]
        self._distances = np.r_[pairs.distance, pairs.distance][order]
        self._ends = np.bincount(one, minlength=len(firsts)).cumsum()

    def neighbours(self, node: int) -> list[Neighbour]:
        """Return the near nodes, the node itself first."""
        edges = slice(self._ends[node - 1] if node else 0, self._ends[node])
        others, distances = self._others[edges].tolist(), self._distances[edges].tolist()
        return [Neighbour(node, 0), *map(Neighbour, others, distances)]

    def group_of(self, node: int) -> list[int]:
        """Return the nodes connected with a node, the node itself first."""
        found = {node: None}
        waiting = [node]
        while waiting:
            new = [near for near, _ in self.neighbours(waiting.pop()) if near not in found]
            found.update(dict.fromkeys(new))
            waiting += new
        return list(found)

    def paired(self) -> NDArray[np.int64]:
        """Return the positions of the pictures that have a near picture."""
        edges = np.diff(self._ends, prepend=0)
        return np.flatnonzero(((edges > 0) | (self._pictures > 1))[self.node_of])
