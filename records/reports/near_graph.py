"""Pictures and who is near whom, by nodes: pictures of the same hashes are one node.

A picture that is there ten thousand times, as "no photo available" may be, is one node and not
fifty million pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from records.reports.near_search import find_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Neighbour(NamedTuple):
    """A node, and how many bits it is apart."""

    node: int
    bits_apart: int


class NearGraph:
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
