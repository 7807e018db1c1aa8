"""Measurement of class means, in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.class_means.means import ClassMeans, normalize, similarities, threshold_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tensorflow as tf
    from numpy.typing import NDArray

    from trainers.models.build import Network

Compute = Callable[["NDArray[Any]"], tuple[Any, Any]]
"""A function from a batch of inputs to logits (batch, classes) and features (batch, features)."""
_MOST_BYTES = 64 << 20
"""The largest size of the mean directions; only a `Flatten` before many classes is larger."""


def find_features(network: Network, *, of_head: bool) -> Compute | None:
    """Return the function that computes logits and penultimate features; None if there are none.

    Args:
        network: the network.
        of_head: whether the inputs are the features of the backbone, and not images.
    """
    if of_head:
        assert network.head is not None  # the plan has checked that
        _, *inner, last = network.head.layers

        def compute(values: Any) -> tuple[Any, Any]:
            for layer in inner:
                values = layer(values)
            return last(values), values

        return compute
    return None if network.featured is None else network.featured.predict_on_batch


def measure_class_means(
    compute: Compute,
    batches: tf.data.Dataset,
    *,
    training_images: int,
    classes: int,
    batch_size: int,
) -> ClassMeans | None:
    """Return the class means of training images, with the threshold of validation images.

    The memory use does not depend on the number of training images; it is 4 bytes for each
    validation image.

    Args:
        compute: the function that computes logits and features; see `find_features`.
        batches: batches of inputs and integer labels (batch,): first all training images, then all
            validation images.
        training_images: the number of training images.
        classes: the number of classes.
        batch_size: the number of images per batch; the last batch may be smaller.

    Returns:
        The class means; None if they would be very large, a feature is not finite, or there are no
        validation images.
    """
    sums: NDArray[np.float64] | None = None
    found: list[NDArray[np.float32]] = []
    left = training_images
    for logits, features, labels in _batches(compute, batches, batch_size):
        if sums is None:
            if classes * features[0].nbytes > _MOST_BYTES:
                return None
            sums = np.zeros((classes, features.shape[1]))
        np.add.at(sums, labels[:left], normalize(features[:left]))
        if left < len(labels):
            directions = normalize(sums)
            found.append(similarities(features[left:], directions[logits[left:].argmax(axis=1)]))
        left = max(left - len(labels), 0)
    if sums is None or not found:
        return None
    similar = np.concatenate(found)
    if not (np.isfinite(sums).all() and np.isfinite(similar).all()):
        return None
    return ClassMeans(normalize(sums), threshold_of(similar))


def _batches(
    compute: Compute, batches: tf.data.Dataset, batch_size: int
) -> Iterator[tuple[NDArray[Any], NDArray[np.float32], NDArray[np.int64]]]:
    """Yield logits (batch, classes), features (batch, features) and labels (batch,)."""
    for inputs, labels in batches.as_numpy_iterator():
        # Keras compiles a model again for a smaller batch, and GPUs cannot share it.
        missing = batch_size - len(labels)
        whole = np.pad(inputs, [(0, missing), *[(0, 0)] * (inputs.ndim - 1)])
        logits, features = (np.asarray(each, np.float32) for each in compute(whole))
        yield logits[: len(labels)], features[: len(labels)], labels
