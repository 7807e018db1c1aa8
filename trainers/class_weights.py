"""How much an image counts in training, by its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def balance_classes(counts: Sequence[int]) -> dict[int, float]:
    """Weights under which all classes count the same, and all images together what they did.

    Args:
        counts: the training images of each class.

    Returns:
        For each label images / (classes x images of the class), counting classes with images; 0
        where there are none. For `keras.Model.fit`.
    """
    images = sum(counts)
    classes = sum(count > 0 for count in counts)
    return {
        label: images / (classes * count) if count else 0.0 for label, count in enumerate(counts)
    }
