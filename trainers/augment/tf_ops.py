"""Functions of `keras.ops` in TensorFlow, for tf.data.

In tf.data, the functions of `keras.ops` work only if TensorFlow is the backend of Keras.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

arange = tf.range
cast = tf.cast
clip = tf.clip_by_value
concatenate = tf.concat
cos = tf.cos
cumsum = tf.cumsum
floor = tf.floor
maximum = tf.maximum
ones_like = tf.ones_like
reshape = tf.reshape
round = tf.round  # noqa: A001
shape = tf.shape
sin = tf.sin
stack = tf.stack
take = tf.gather
where = tf.where
zeros_like = tf.zeros_like


def max(x: tf.Tensor, axis: Any, keepdims: bool = False) -> tf.Tensor:  # noqa: A001
    """Return the largest values along axes."""
    return tf.reduce_max(x, axis, keepdims)


def mean(x: tf.Tensor, axis: Any, keepdims: bool = False) -> tf.Tensor:
    """Return the means along axes."""
    return tf.reduce_mean(x, axis, keepdims)


def min(x: tf.Tensor, axis: Any, keepdims: bool = False) -> tf.Tensor:  # noqa: A001
    """Return the smallest values along axes."""
    return tf.reduce_min(x, axis, keepdims)


def segment_sum(data: tf.Tensor, segment_ids: tf.Tensor, num_segments: Any) -> tf.Tensor:
    """Return the sums of the values with the same number."""
    return tf.math.unsorted_segment_sum(data, segment_ids, num_segments)


def sum(x: tf.Tensor, axis: Any, keepdims: bool = False) -> tf.Tensor:  # noqa: A001
    """Return the sums along axes."""
    return tf.reduce_sum(x, axis, keepdims)
